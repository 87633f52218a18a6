# Uses the scheduler itself, which is no part of the public face.
target_sources(bench_simulate PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/driver/plot.cpp)
target_include_directories(bench_simulate PRIVATE ${PROJECT_SOURCE_DIR}/src)
find_package(fmt REQUIRED)
target_link_libraries(bench_simulate PRIVATE CLI11::CLI11 fmt::fmt)
