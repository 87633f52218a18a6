find_package(TBB REQUIRED)
find_package(OpenMP REQUIRED)
target_link_libraries(bench_skewed PRIVATE TBB::tbb OpenMP::OpenMP_CXX)
