# The system calls of the library go through those of system_calls.cpp, which fail when told to.
target_sources(test_faults PRIVATE ${CMAKE_CURRENT_LIST_DIR}/system_calls.cpp)
set(calls epoll_create1 epoll_ctl epoll_wait eventfd fcntl fork ftruncate memfd_create mmap open pipe2 poll posix_spawn read
  recvmsg sendmsg signalfd socketpair syscall waitpid)
list(TRANSFORM calls PREPEND "-Wl,--wrap=")
target_link_options(test_faults PRIVATE ${calls})

mp_add_test_programs(faults)
target_include_directories(faults_rising_limit PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(faults_rising_limit PRIVATE mp_test_support)
