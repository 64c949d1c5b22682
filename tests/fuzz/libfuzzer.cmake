# The library and one program for each target, with libFuzzer and two sanitizers.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "libFuzzer comes with clang: set CC=clang and CXX=clang++")
endif()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Fuzz)
endif()
set(CMAKE_C_FLAGS_FUZZ "-O1 -gline-tables-only")
set(CMAKE_CXX_FLAGS_FUZZ "-O1 -gline-tables-only")

set(SUBQUAD_SANITIZE "fuzzer-no-link,address,undefined" CACHE STRING "" FORCE)
set(SUBQUAD_BUILD_TESTS OFF CACHE BOOL "" FORCE)
# One SIMD target, the compiler's own: kernels of every target are compiled from the same source, and the tests compare them.
add_compile_definitions(HWY_COMPILE_ONLY_STATIC)
add_subdirectory(${CMAKE_CURRENT_SOURCE_DIR}/../.. subquad)
# Kernels, which are unrolled and inlined, would compile for minutes with more than the checks of addresses.
file(GLOB kernels ${CMAKE_CURRENT_SOURCE_DIR}/../../core/simd/*.cpp)
set_source_files_properties(${kernels} TARGET_DIRECTORY subquad_core PROPERTIES
  COMPILE_OPTIONS "-fno-sanitize=undefined,fuzzer-no-link;-fno-sanitize-address-use-after-scope")

foreach(target ${targets})
  add_executable(fuzz_${target} fuzz_${target}.cpp calls.cpp)
  set_target_properties(fuzz_${target} PROPERTIES CXX_STANDARD 17)
  subquad_compile_flags(fuzz_${target})
  target_link_libraries(fuzz_${target} PRIVATE subquad::subquad)
  target_compile_options(fuzz_${target} PRIVATE -fsanitize=${SUBQUAD_SANITIZE})
  target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer,${SUBQUAD_SANITIZE})
endforeach()
