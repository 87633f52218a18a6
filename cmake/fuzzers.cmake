# Each tests/fuzz/<name>.cpp with an LLVMFuzzerTestOneInput becomes the libFuzzer program <build>/fuzz/<name>.
# tests/fuzz/corpus/<name>/, where it exists, holds its first inputs. The library itself must be instrumented too:
# the preset fuzz sets -fsanitize for everything.
file(GLOB MP_FUZZERS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/*.cpp)
foreach(source IN LISTS MP_FUZZERS)
  cmake_path(GET source STEM name)
  add_executable(fuzz_${name} ${source})
  set_target_properties(fuzz_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(fuzz_${name} PRIVATE multiprocessing::multiprocessing)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endforeach()
