# What `cmake --install` puts where, and the Debian packages that `cpack -G DEB` makes of it.
#
# Three components: program (hearth), runtime (libhearth1), development (libhearth-dev). Folders are GNUInstallDirs'; whatever refers to another
# installed file does so relative to itself, so that an installation may be moved or unpacked anywhere.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(HEARTH_PACKAGE_FILES ${CMAKE_SOURCE_DIR}/engine/cmake/package)
set(HEARTH_PACKAGE_BUILD ${CMAKE_BINARY_DIR}/package)

# --- the program -------------------------------------------------------------------------------------------------------

install(TARGETS hearth_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
set(HEARTH_MANUAL ${CMAKE_BINARY_DIR}/share/hearth.1.gz)
add_custom_command(OUTPUT ${HEARTH_MANUAL}
  COMMAND gzip -9nc ${CMAKE_BINARY_DIR}/share/hearth.1 > ${HEARTH_MANUAL}
  DEPENDS ${CMAKE_BINARY_DIR}/share/hearth.1 VERBATIM)
add_custom_target(hearth_manual ALL DEPENDS ${HEARTH_MANUAL})
add_dependencies(hearth_manual hearth_share)
install(FILES ${HEARTH_MANUAL} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${CMAKE_BINARY_DIR}/share/hearth.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME hearth COMPONENT program)
install(FILES ${CMAKE_BINARY_DIR}/share/_hearth DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT program)
install(FILES ${CMAKE_BINARY_DIR}/share/hearth.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT program)

# --- the library -------------------------------------------------------------------------------------------------------

install(TARGETS hearth_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development)
install(FILES ${HEARTH_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
# CMake strips programs and shared libraries only.
install(CODE "if(CMAKE_INSTALL_DO_STRIP)
  execute_process(COMMAND \"${HEARTH_STRIP}\" --strip-debug --enable-deterministic-archives
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/libhearth.a\" COMMAND_ERROR_IS_FATAL ANY)
endif()" COMPONENT development)
install(FILES engine/include/hearth/hearth.h engine/include/hearth/hearth.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hearth COMPONENT development)
# For functions in C.
install(FILES runtimes/custom/hearth_worker.h runtimes/custom/hearth_worker_channel.h runtimes/custom/hearth_worker_json.h
    runtimes/custom/hearth_worker_run.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hearth COMPONENT development)

# hearth.pc: its prefix is where it lies.
set(HEARTH_PKGCONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${HEARTH_PKGCONFIG_DIR} OUTPUT_VARIABLE HEARTH_PREFIX_FROM_PC)
set(HEARTH_PRIVATE_LIBS "")
foreach(library ${HEARTH_STATIC_NEEDS})
  string(APPEND HEARTH_PRIVATE_LIBS " -l${library}")
endforeach()
configure_file(${HEARTH_PACKAGE_FILES}/hearth.pc.in ${HEARTH_PACKAGE_BUILD}/hearth.pc @ONLY)
install(FILES ${HEARTH_PACKAGE_BUILD}/hearth.pc DESTINATION ${HEARTH_PKGCONFIG_DIR} COMPONENT development)

get_target_property(HEARTH_ABI hearth_shared SOVERSION)
set(HEARTH_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/hearth)
configure_package_config_file(${HEARTH_PACKAGE_FILES}/hearthConfig.cmake.in ${HEARTH_PACKAGE_BUILD}/hearthConfig.cmake
  INSTALL_DESTINATION ${HEARTH_CMAKE_DIR} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${HEARTH_PACKAGE_BUILD}/hearthConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${HEARTH_PACKAGE_BUILD}/hearthConfig.cmake ${HEARTH_PACKAGE_BUILD}/hearthConfigVersion.cmake
  DESTINATION ${HEARTH_CMAKE_DIR} COMPONENT development)

# --- documents, a copy for each package --------------------------------------------------------------------------------

string(TIMESTAMP HEARTH_PACKAGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)  # honours SOURCE_DATE_EPOCH
set(HEARTH_MAINTAINER "The Hearth authors <maintainers@hearth.invalid>" CACHE STRING "Maintainer of the Debian packages")
find_program(HEARTH_GZIP gzip REQUIRED)
foreach(pair program:hearth runtime:libhearth1 development:libhearth-dev)
  string(REPLACE ":" ";" pair ${pair})
  list(POP_FRONT pair component package)
  set(folder ${HEARTH_PACKAGE_BUILD}/${package})
  configure_file(${HEARTH_PACKAGE_FILES}/changelog.Debian.in ${folder}/changelog.Debian @ONLY)
  execute_process(COMMAND ${HEARTH_GZIP} -9nf ${folder}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)
  install(FILES ${folder}/changelog.Debian.gz ${HEARTH_PACKAGE_FILES}/copyright
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/hearth COMPONENT licence)

# --- Debian ------------------------------------------------------------------------------------------------------------

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR Hearth)
set(CPACK_PACKAGE_CONTACT ${HEARTH_MAINTAINER})
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program runtime development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${HEARTH_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME hearth)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "python3, nodejs (>= 18)")
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION "run functions on a plain machine: daemon and command line
Functions in Python, JavaScript and C answer events and HTTP requests, each in
a confined process of its own that stays warm between calls.

This package has the program hearth: the daemon, and the commands that deploy,
call and develop functions.")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libhearth1)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${HEARTH_PACKAGE_FILES}/triggers)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS "python3, nodejs (>= 18)")
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "run functions inside of a program: shared library
Hearth runs functions in Python, JavaScript and C, each in a confined process
of its own that stays warm between calls.

This package has the library that puts its engine into a C or C++ program.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libhearth-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libhearth1 (= ${PROJECT_VERSION}-1)")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "run functions inside of a program: development files
Hearth runs functions in Python, JavaScript and C, each in a confined process
of its own that stays warm between calls.

This package has the headers, the static library, and the files for
pkg-config and CMake.")
include(CPack)
