// Diverts a marked copy of a program that is linked with -Wl,--wrap=main, as the CMake target
// multiprocessing::fully_static does: with -static no __libc_start_main of ours can call the C library's.
#include "process/worker_mode.hpp"

extern "C" [[gnu::weak]] int __real_main(int, char**, char**);

// `used`: link-time optimisation does not see the start-up code's call.
extern "C" [[gnu::used]] int __wrap_main(int argc, char** argv, char** environment) {
    if (const auto code = mp::process::divert(argc, argv)) return *code;
    return __real_main(argc, argv, environment);
}
