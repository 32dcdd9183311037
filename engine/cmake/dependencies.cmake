# The packages that we build on, each as one target. Static archives where Debian has them, so that the binary needs libc and libm only.

find_package(Threads REQUIRED)
find_package(Catch2 REQUIRED)
if(NOT TARGET Catch2::Catch2WithMain)
  message(FATAL_ERROR "Catch2 has no Catch2WithMain target: install the package catch2")
endif()

function(hearth_static_library target header)
  find_path(${target}_INCLUDE ${header} REQUIRED)
  find_library(${target}_LIBRARY NAMES ${ARGN} REQUIRED)
  add_library(${target} INTERFACE)
  target_include_directories(${target} SYSTEM INTERFACE ${${target}_INCLUDE})
  target_link_libraries(${target} INTERFACE ${${target}_LIBRARY})
endfunction()

hearth_static_library(hearth_uv uv.h libuv_a.a libuv.a uv)
target_link_libraries(hearth_uv INTERFACE Threads::Threads dl rt)
if(HEARTH_SANITIZE MATCHES "thread")
  add_library(hearth_watched_close STATIC engine/loop/watched_close.cc)
  target_link_libraries(hearth_uv INTERFACE hearth_watched_close -Wl,--wrap=syscall)
endif()
hearth_static_library(hearth_sqlite sqlite3.h libsqlite3.a sqlite3)
target_link_libraries(hearth_sqlite INTERFACE m)
hearth_static_library(hearth_seccomp seccomp.h libseccomp.a seccomp)
hearth_static_library(hearth_zlib zlib.h libz.a z)
hearth_static_library(hearth_minizip minizip/unzip.h libminizip.a minizip)
target_link_libraries(hearth_minizip INTERFACE hearth_zlib)
hearth_static_library(hearth_yaml yaml-cpp/yaml.h libyaml-cpp.a yaml-cpp)
hearth_static_library(hearth_crypto openssl/evp.h libcrypto.a crypto)
target_link_libraries(hearth_crypto INTERFACE dl Threads::Threads)

find_path(HEARTH_NLOHMANN_INCLUDE nlohmann/json.hpp REQUIRED)
add_library(hearth_json INTERFACE)
target_include_directories(hearth_json SYSTEM INTERFACE ${HEARTH_NLOHMANN_INCLUDE})
find_path(HEARTH_CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
add_library(hearth_cli11 INTERFACE)
target_include_directories(hearth_cli11 SYSTEM INTERFACE ${HEARTH_CLI11_INCLUDE})

# fmt: Debian has no static archive; one file of its own sources makes one.
find_path(HEARTH_FMT_INCLUDE fmt/format-inl.h REQUIRED)
file(WRITE ${CMAKE_BINARY_DIR}/fmt_build.cc [[
#include <fmt/format-inl.h>
FMT_BEGIN_NAMESPACE
namespace detail {
template FMT_API auto dragonbox::to_decimal(float) noexcept -> dragonbox::decimal_fp<float>;
template FMT_API auto dragonbox::to_decimal(double) noexcept -> dragonbox::decimal_fp<double>;
template FMT_API locale_ref::locale_ref(const std::locale&);
template FMT_API auto locale_ref::get<std::locale>() const -> std::locale;
template FMT_API auto thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto decimal_point_impl(locale_ref) -> char;
template FMT_API void buffer<char>::append(const char*, const char*);
template FMT_API void vformat_to(buffer<char>&, string_view, basic_format_args<FMT_BUFFER_CONTEXT(char)>, locale_ref);
}
FMT_END_NAMESPACE
]])
add_library(hearth_fmt STATIC ${CMAKE_BINARY_DIR}/fmt_build.cc)
target_include_directories(hearth_fmt SYSTEM PUBLIC ${HEARTH_FMT_INCLUDE})

# llhttp: a system library of version 9 or later, else Debian 12's sources (8.1) in strict mode. The head guard stands before both.
find_library(HEARTH_LLHTTP_LIBRARY NAMES libllhttp.a llhttp)
find_path(HEARTH_LLHTTP_SYSTEM_INCLUDE llhttp.h)
set(HEARTH_LLHTTP_VERSION 0)
if(HEARTH_LLHTTP_LIBRARY AND HEARTH_LLHTTP_SYSTEM_INCLUDE)
  file(STRINGS ${HEARTH_LLHTTP_SYSTEM_INCLUDE}/llhttp.h version_line REGEX "define LLHTTP_VERSION_MAJOR")
  string(REGEX MATCH "[0-9]+" HEARTH_LLHTTP_VERSION "${version_line}")
endif()
if(HEARTH_LLHTTP_VERSION GREATER_EQUAL 9)
  add_library(hearth_llhttp INTERFACE)
  target_include_directories(hearth_llhttp SYSTEM INTERFACE ${HEARTH_LLHTTP_SYSTEM_INCLUDE})
  target_link_libraries(hearth_llhttp INTERFACE ${HEARTH_LLHTTP_LIBRARY})
else()
  find_path(HEARTH_LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH REQUIRED)
  find_path(HEARTH_LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH REQUIRED)
  add_library(hearth_llhttp STATIC
    ${HEARTH_LLHTTP_SOURCES}/api.c ${HEARTH_LLHTTP_SOURCES}/http.c ${HEARTH_LLHTTP_SOURCES}/llhttp.c)
  target_include_directories(hearth_llhttp SYSTEM PUBLIC ${HEARTH_LLHTTP_INCLUDE})
  target_compile_definitions(hearth_llhttp PRIVATE LLHTTP_STRICT_MODE=1)
endif()
