# hearth_module(NAME [HEADER_ONLY] DEPS a b SOURCES x.cc [LIBRARIES lib] [TESTS x_test.cc] [TEST_LIBRARIES lib])
#
# One target a folder: hearth_NAME. DEPS are other modules, and the only ones whose headers this folder may include;
# tests/structure_test.py compares every #include with them. LIBRARIES are packages.
function(hearth_module name)
  cmake_parse_arguments(M "HEADER_ONLY" "" "DEPS;SOURCES;LIBRARIES;TESTS;TEST_LIBRARIES" ${ARGN})
  set(target hearth_${name})
  list(TRANSFORM M_DEPS PREPEND hearth_ OUTPUT_VARIABLE deps)
  if(M_HEADER_ONLY)
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${CMAKE_SOURCE_DIR}/engine ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${deps} ${M_LIBRARIES})
  else()
    add_library(${target} STATIC ${M_SOURCES})
    target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/engine ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${deps} ${M_LIBRARIES} PRIVATE hearth_flags)
  endif()
  if(HEARTH_TESTS AND M_TESTS)
    hearth_test(${name}_tests SOURCES ${M_TESTS} LIBRARIES ${target} ${M_TEST_LIBRARIES})
  endif()
endfunction()

# hearth_test(NAME SOURCES x_test.cc LIBRARIES targets): one Catch2 program, run as one ctest entry named NAME.
# -w NoTests: a filter that matches nothing is a failure, not a pass.
function(hearth_test name)
  cmake_parse_arguments(T "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${T_LIBRARIES} Catch2::Catch2WithMain hearth_flags)
  add_test(NAME ${name} COMMAND ${name} -w NoTests --durations no)
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()

# hearth_fuzzer(NAME SOURCES x.cc LIBRARIES targets): a libFuzzer program, only in a clang build with HEARTH_FUZZ.
# Its committed corpus is the folder corpus/NAME beside the source.
function(hearth_fuzzer name)
  if(NOT HEARTH_FUZZ)
    return()
  endif()
  cmake_parse_arguments(F "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${F_SOURCES})
  target_link_libraries(${name} PRIVATE ${F_LIBRARIES} hearth_flags -fsanitize=fuzzer)
endfunction()

# hearth_embed(TARGET OBJECT_NAME name FILE path): adds `path` to the target byte for byte, between the symbols
# hearth_blob_NAME_begin and hearth_blob_NAME_end in .rodata.
function(hearth_embed target symbol file)
  set(asm ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.S)
  file(CONFIGURE OUTPUT ${asm} CONTENT [[
.section .rodata
.balign 16
.global hearth_blob_@symbol@_begin
.hidden hearth_blob_@symbol@_begin
hearth_blob_@symbol@_begin:
.incbin "@file@"
.global hearth_blob_@symbol@_end
.hidden hearth_blob_@symbol@_end
hearth_blob_@symbol@_end:
.byte 0
.section .note.GNU-stack,"",@progbits
]] @ONLY)
  set_source_files_properties(${asm} PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(${target} PRIVATE ${asm})
endfunction()

add_library(hearth_flags INTERFACE)
target_compile_options(hearth_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wshadow -Wno-missing-field-initializers -Werror=return-type
  -Werror=unused-result -ffunction-sections -fdata-sections -fstack-protector-strong>)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(hearth_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-g1>)
  target_compile_definitions(hearth_flags INTERFACE _FORTIFY_SOURCE=2)
endif()
target_link_options(hearth_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now)
if(HEARTH_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${HEARTH_SANITIZE}>
    $<$<COMPILE_LANGUAGE:C,CXX>:-fno-sanitize-recover=undefined> -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HEARTH_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND HEARTH_SANITIZE MATCHES "address")
    add_compile_definitions(__SANITIZE_ADDRESS__=1)  # as gcc does by itself
  endif()
endif()
if(HEARTH_FUZZ)
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=fuzzer-no-link,address,undefined>)
  add_link_options(-fsanitize=address,undefined)
endif()
if(HEARTH_COUNT_ALLOCS)
  add_compile_definitions(HEARTH_COUNT_ALLOCS=1)
endif()
