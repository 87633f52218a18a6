#include "os/thread_start.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <threads.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <new>

#include "os/crash_report.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MP_OS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MP_OS_SANITIZED 1
#endif
#endif

#ifdef MP_OS_SANITIZED

namespace mp::os {
void arm_all_threads() {}
}  // namespace mp::os

#else

// Only where the C library is linked statically: its pthread_create under another name.
extern "C" [[gnu::weak]] int __pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

namespace mp::os {
namespace {

using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

// Set once, before foreign code runs. Relaxed: they guard no other data.
std::atomic<bool> enabled{false};
std::atomic<Create> next_create{nullptr};

struct Start {
    void* (*run)(void*);
    void* argument;
};

void* run_armed(void* given) {
    const Start start = *std::unique_ptr<Start>(static_cast<Start*>(given));
    static_cast<void>(arm_this_thread());
    return start.run(start.argument);
}

Create find_next() {
    auto next = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
    if (!next) next = &__pthread_create;
    next_create.store(next, std::memory_order_relaxed);
    return next;
}

}  // namespace

void arm_all_threads() {
    // Makes a static link take the C library's threads, which nothing else may ask for when pthread_create is ours.
    static void* const link_threads = reinterpret_cast<void*>(&::thrd_create);
    asm volatile("" : : "r"(link_threads));
    enabled.store(true, std::memory_order_relaxed);
}

}  // namespace mp::os

extern "C" [[gnu::weak, gnu::visibility("default")]] int pthread_create(pthread_t* thread,
                                                                        const pthread_attr_t* attributes,
                                                                        void* (*run)(void*), void* argument) noexcept {
    mp::os::Create next = mp::os::next_create.load(std::memory_order_relaxed);
    if (!next) next = mp::os::find_next();
    if (!next) return ENOSYS;
    if (!mp::os::enabled.load(std::memory_order_relaxed)) return next(thread, attributes, run, argument);
    std::unique_ptr<mp::os::Start> start(new (std::nothrow) mp::os::Start{run, argument});
    if (!start) return EAGAIN;
    const int error = next(thread, attributes, &mp::os::run_armed, start.get());
    if (error == 0) static_cast<void>(start.release());
    return error;
}

#endif
