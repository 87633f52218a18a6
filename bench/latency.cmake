find_package(TBB REQUIRED)
target_link_libraries(bench_latency PRIVATE TBB::tbb)
