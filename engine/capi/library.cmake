# libhearth.so.1 and libhearth.a, in BUILD/lib. Each holds everything that it needs but libc and libm (and libstdc++, for the archive),
# and shows hearth_* and nothing else.
set(HEARTH_ABI 1)

# Debian's libuv reaches four of libc's variables as only a program can: see library_data.cc.
set(HEARTH_WRAPPED -Wl,--wrap=stderr -Wl,--wrap=environ -Wl,--wrap=__environ -Wl,--wrap=in6addr_any)
add_library(hearth_library_data OBJECT library_data.cc)
set_target_properties(hearth_library_data PROPERTIES POSITION_INDEPENDENT_CODE ON INTERPROCEDURAL_OPTIMIZATION OFF)
add_library(hearth_shared SHARED $<TARGET_OBJECTS:hearth_library_data>)
set_target_properties(hearth_shared PROPERTIES OUTPUT_NAME hearth VERSION ${HEARTH_ABI}.${PROJECT_VERSION} SOVERSION ${HEARTH_ABI}
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/hearth.map)
target_link_libraries(hearth_shared PUBLIC hearth_headers PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,hearth_capi> hearth_flags)
# Never unmapped: it has threads, and an exit handler of libcrypto. -Bsymbolic: a call inside of the library stays inside.
target_link_options(hearth_shared PRIVATE -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/hearth.map
  -Wl,-Bsymbolic -Wl,-z,nodelete ${HEARTH_WRAPPED})
target_link_options(hearth_shared PRIVATE -static-libstdc++ -static-libgcc)
if(NOT HEARTH_SANITIZE)
  target_link_options(hearth_shared PRIVATE -Wl,-z,defs)
endif()

# The archive: one object, linked from all of them, in which every name but hearth_* is made local. Groups of sections are dissolved:
# else a linker would take a host's copy of a template for ours, and ours would be gone.
set(HEARTH_STATIC_MODULES capi engine package api store worker http host loop config core sandbox base fmt runtimes_blob)
if(TARGET hearth_llhttp AND NOT HEARTH_LLHTTP_VERSION GREATER_EQUAL 9)
  list(APPEND HEARTH_STATIC_MODULES llhttp)
else()
  set(HEARTH_STATIC_LLHTTP ${HEARTH_LLHTTP_LIBRARY})
endif()
set(HEARTH_STATIC_ARCHIVES "")
set(HEARTH_STATIC_TARGETS "")
foreach(module ${HEARTH_STATIC_MODULES})
  list(APPEND HEARTH_STATIC_TARGETS hearth_${module})
  list(APPEND HEARTH_STATIC_ARCHIVES $<TARGET_FILE:hearth_${module}>)
endforeach()
set(HEARTH_MERGED ${CMAKE_CURRENT_BINARY_DIR}/libhearth.o)
set(HEARTH_STATIC_FILE ${CMAKE_BINARY_DIR}/lib/libhearth.a)
set(HEARTH_MERGE_LTO "")
if(CMAKE_INTERPROCEDURAL_OPTIMIZATION OR CMAKE_CXX_FLAGS_RELEASE MATCHES "-flto")
  set(HEARTH_MERGE_LTO -O2 -fPIC -flto=auto -flto-partition=none -flinker-output=nolto-rel)
endif()
# A build that counts allocations stands before the host's too, operator new included.
set(HEARTH_KEEP_ALLOCATIONS "")
if(HEARTH_COUNT_ALLOCS)
  set(HEARTH_KEEP_ALLOCATIONS --keep-global-symbol=malloc --keep-global-symbol=calloc --keep-global-symbol=realloc)
endif()
# Unique names (_Z* of GNU's kind) can't be made local; weak ones can. What is not defined here stays strong: a weak reference would not bring
# its member of libstdc++.a.
set(HEARTH_OWN_NAMES ${CMAKE_CURRENT_BINARY_DIR}/libhearth.names)
# What --wrap does, by names: the linker's own crashes in a relocatable link.
set(HEARTH_STATIC_UV ${CMAKE_CURRENT_BINARY_DIR}/libuv.a)
set(HEARTH_STATIC_DATA ${CMAKE_CURRENT_BINARY_DIR}/library_data.o)
set(HEARTH_RENAMED "")
foreach(name stderr environ __environ in6addr_any)
  list(APPEND HEARTH_RENAMED --redefine-sym=${name}=__wrap_${name})
endforeach()
add_custom_command(OUTPUT ${HEARTH_STATIC_FILE}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/lib
  COMMAND ${CMAKE_OBJCOPY} ${HEARTH_RENAMED} ${hearth_uv_LIBRARY} ${HEARTH_STATIC_UV}
  COMMAND ${CMAKE_OBJCOPY} --redefine-sym=__real_stderr=stderr $<TARGET_OBJECTS:hearth_library_data> ${HEARTH_STATIC_DATA}
  COMMAND ${CMAKE_CXX_COMPILER} -r -nostdlib ${HEARTH_MERGE_LTO} -Wl,--force-group-allocation -Wl,-d -o ${HEARTH_MERGED}
    ${HEARTH_STATIC_DATA}
    -Wl,--whole-archive $<TARGET_FILE:hearth_capi> -Wl,--no-whole-archive
    -Wl,--start-group ${HEARTH_STATIC_ARCHIVES} ${HEARTH_STATIC_LLHTTP} ${HEARTH_STATIC_UV} ${hearth_sqlite_LIBRARY} ${hearth_zlib_LIBRARY}
    ${hearth_minizip_LIBRARY} ${hearth_yaml_LIBRARY} ${hearth_crypto_LIBRARY} -Wl,--end-group
  COMMAND sh -c "${CMAKE_NM} --defined-only --format=posix ${HEARTH_MERGED} | sed -n 's/^\\(_Z[^ ]*\\) .*/\\1/p' >${HEARTH_OWN_NAMES}"
  COMMAND ${CMAKE_OBJCOPY} --weaken-symbols=${HEARTH_OWN_NAMES} ${HEARTH_MERGED}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden --wildcard --keep-global-symbol=hearth_[!b]* --keep-global-symbol=hearth_b[!l]*
    ${HEARTH_KEEP_ALLOCATIONS} ${HEARTH_MERGED}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${HEARTH_STATIC_FILE}
  COMMAND ${CMAKE_AR} rcs ${HEARTH_STATIC_FILE} ${HEARTH_MERGED}
  DEPENDS ${HEARTH_STATIC_TARGETS} hearth_library_data $<TARGET_OBJECTS:hearth_library_data> VERBATIM)
add_custom_target(hearth_static_file ALL DEPENDS ${HEARTH_STATIC_FILE})
add_library(hearth_static STATIC IMPORTED GLOBAL)
add_dependencies(hearth_static hearth_static_file)
# For install.cmake.
set(HEARTH_ARCHIVE ${HEARTH_STATIC_FILE} CACHE INTERNAL "libhearth.a")
set(HEARTH_STATIC_NEEDS stdc++ m pthread dl CACHE INTERNAL "What a program that links libhearth.a needs beside libc")
set_target_properties(hearth_static PROPERTIES IMPORTED_LOCATION ${HEARTH_STATIC_FILE})
target_link_libraries(hearth_static INTERFACE hearth_headers ${HEARTH_STATIC_NEEDS})

# Against the shared library, as a host would; with sanitizers against the modules, so that one C++ library is watched and not two.
if(HEARTH_TESTS)
  if(HEARTH_SANITIZE)
    set(HEARTH_CAPI_TESTED hearth_capi)
  else()
    set(HEARTH_CAPI_TESTED hearth_shared)
  endif()
  hearth_test(capi_tests SOURCES open_test.cc functions_test.cc invoke_test.cc host_functions_test.cc host_loop_test.cc untouched_test.cc
      wrapper_test.cc hostile_host_test.cc
    LIBRARIES ${HEARTH_CAPI_TESTED} Threads::Threads)
  target_include_directories(capi_tests PRIVATE ${CMAKE_SOURCE_DIR}/engine)
  if(NOT HEARTH_SANITIZE)
    target_compile_definitions(capi_tests PRIVATE HEARTH_LIBRARY="$<TARGET_FILE:hearth_shared>")
  endif()
endif()
