// Diverts a marked copy of a dynamically linked program, whose main nobody changes: the C start-up code calls
// __libc_start_main, and finds this one before the C library's. See docs/design/worker-mode.md.
#include <dlfcn.h>
#include <unistd.h>

#include <cstring>

#include <multiprocessing/export.hpp>

#include "process/worker_mode.hpp"

// Weak: absent from programs linked with -static, where the linker would warn about it.
extern "C" [[gnu::weak]] void* dlsym(void*, const char*) noexcept;

namespace mp::process {
namespace {

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

constinit Main user_main = nullptr;

int main_or_worker(int argc, char** argv, char** environment) {
    if (const auto code = divert(argc, argv)) return *code;
    return user_main(argc, argv, environment);
}

[[noreturn]] void give_up(const char* text) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
    ::_exit(127);
}

}  // namespace

// `used`: link-time optimisation does not see the start-up code's call. Not weak: mold would prefer the C library's.
extern "C" MP_EXPORT [[gnu::used]] int __libc_start_main(Main main, int argc, char** argv, void (*init)(),
                                                                    void (*fini)(), void (*rtld_fini)(), void* stack_end) {
    const auto real = dlsym == nullptr ? nullptr : reinterpret_cast<StartMain>(::dlsym(RTLD_NEXT, "__libc_start_main"));
    if (real == nullptr)
        give_up("multiprocessing: this program is linked with -static and cannot start: link it with the CMake target "
                "multiprocessing::fully_static\n");
    user_main = main;
    hook_in_place();
    // Before static initialisers, so that what they start does not inherit the marker.
    (void)take_marker();
    return real(main_or_worker, argc, argv, init, fini, rtld_fini, stack_end);
}

}  // namespace mp::process
