find_package(TBB REQUIRED)
find_package(OpenMP REQUIRED)
target_link_libraries(bench_tasks PRIVATE TBB::tbb OpenMP::OpenMP_CXX)
