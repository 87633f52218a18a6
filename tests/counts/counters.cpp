#include "counts/counters.hpp"
#include "support/sanitizers.hpp"

#include <atomic>
#include <cstddef>

namespace {

thread_local constinit std::uint64_t allocations_of_thread = 0;
constinit std::atomic<std::uint64_t> copied{0};

// The string instruction, since a loop would be compiled to a call of memcpy.
void copy_forward(void* to, const void* from, std::size_t size) {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}
void copy_backward(void* to, const void* from, std::size_t size) {
    auto* last_to = static_cast<char*>(to) + size - 1;
    const auto* last_from = static_cast<const char*>(from) + size - 1;
    asm volatile("std\n\trep movsb\n\tcld" : "+D"(last_to), "+S"(last_from), "+c"(size) : : "memory");
}

}  // namespace

namespace mp::test {

std::uint64_t allocations() { return allocations_of_thread; }
std::uint64_t bytes_copied() { return copied.load(std::memory_order_relaxed); }

}  // namespace mp::test

#if !MP_UNDER_SANITIZER

// Libraries find only what is visible.
#pragma GCC visibility push(default)
extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): glibc's own names for what is replaced here
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(std::size_t size) {
    ++allocations_of_thread;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++allocations_of_thread;
    return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
    ++allocations_of_thread;
    return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
    ++allocations_of_thread;
    return __libc_memalign(alignment, size);
}

void* memcpy(void* __restrict to, const void* __restrict from, std::size_t size) {
    copied.fetch_add(size, std::memory_order_relaxed);
    copy_forward(to, from, size);
    return to;
}
void* memmove(void* to, const void* from, std::size_t size) {
    copied.fetch_add(size, std::memory_order_relaxed);
    const auto distance = reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from);
    if (distance >= size) copy_forward(to, from, size);
    else if (distance != 0 && size != 0) copy_backward(to, from, size);
    return to;
}
}
#pragma GCC visibility pop

#endif
