#include "os/throw_stack.hpp"

#include <dlfcn.h>
#include <unwind.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>

namespace mp::os {
namespace {

constexpr unsigned max_frames = 64;

/// The last throws of a thread: as many as exceptions are usually alive at once (nested, or thrown while handling).
struct ThrowLog {
    struct Throw {
        const void* object;  // the exception object: what tells throws apart
        unsigned count;
        std::uintptr_t frames[max_frames];
    };
    static constexpr unsigned size = 6;
    Throw throws[size];
    unsigned next;
};
thread_local ThrowLog throw_log;

// Set once, before the worker runs foreign code; read by every throw. Relaxed: it guards no other data.
std::atomic<bool> enabled{false};

using Function = void (*)(void*, void*, void (*)(void*));
std::atomic<Function> next_throw{nullptr};

struct Walk {
    ThrowLog::Throw& entry;
    std::uintptr_t thrower;  // where the throw returns to: the frames before it are ours
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
    auto& [entry, thrower] = *static_cast<Walk*>(argument);
    const auto address = _Unwind_GetIP(context);
    if (address == 0) return _URC_END_OF_STACK;
    if (entry.count == 0 && address != thrower) return _URC_NO_REASON;
    entry.frames[entry.count++] = address;
    return entry.count == max_frames ? _URC_END_OF_STACK : _URC_NO_REASON;
}

[[gnu::noinline]] void note_throw(const void* object, const void* thrower) {
    ThrowLog& log = throw_log;
    ThrowLog::Throw* entry = nullptr;
    for (ThrowLog::Throw& old : log.throws)
        if (old.object == object) entry = &old;  // its address is in use again
    if (!entry) entry = &log.throws[log.next++ % ThrowLog::size];
    entry->object = object;
    entry->count = 0;
    Walk walk{*entry, reinterpret_cast<std::uintptr_t>(thrower)};
    _Unwind_Backtrace(visit, &walk);
}

Function find_next_throw() {
    auto function = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "__cxa_throw"));
    next_throw.store(function, std::memory_order_relaxed);
    return function;
}

}  // namespace

void enable_throw_stacks() {
    // In the same object file of libstdc++ as its __cxa_throw. To refer to it makes a static link take that file too,
    // whose strong __cxa_throw then replaces the weak one below: without this a static program could not throw.
    static void* const link_runtime = reinterpret_cast<void*>(&__cxxabiv1::__cxa_init_primary_exception);
    asm volatile("" : : "r"(link_runtime));
    find_next_throw();
    enabled.store(true, std::memory_order_relaxed);
}

RawStack throw_stack(const std::exception_ptr& exception) {
    const void* object = nullptr;
    static_assert(sizeof(exception) == sizeof(object));
    std::memcpy(&object, &exception, sizeof object);  // libstdc++ keeps nothing else in it
    if (!object) return {};
    for (const ThrowLog::Throw& entry : throw_log.throws) {
        if (entry.object == object) return locate(entry.frames, entry.count);
    }
    return {};
}

}  // namespace mp::os

// Type information as void*: so g++ declares it by itself.
extern "C" [[gnu::weak, gnu::visibility("default"), noreturn]] void __cxa_throw(void* object, void* type,
                                                                               void (*destroy)(void*)) {
    if (mp::os::enabled.load(std::memory_order_relaxed)) mp::os::note_throw(object, __builtin_return_address(0));
    mp::os::Function next = mp::os::next_throw.load(std::memory_order_relaxed);
    if (!next) next = mp::os::find_next_throw();
    next(object, type, destroy);
    __builtin_unreachable();
}
