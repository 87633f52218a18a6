find_package(PkgConfig REQUIRED)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
target_link_libraries(bench_channels PRIVATE PkgConfig::ZMQ)
