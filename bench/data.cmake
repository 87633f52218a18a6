find_package(TBB REQUIRED)
target_link_libraries(bench_data PRIVATE TBB::tbb)
