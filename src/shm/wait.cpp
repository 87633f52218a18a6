#include "shm/wait.hpp"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "os/futex.hpp"

namespace mp::shm {

namespace {

constexpr std::uint32_t default_cap = 50'000;

bool may_use_two_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    // Fails with EINVAL where the kernel's mask is larger than ours: such a machine has CPUs to spare.
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return true;
    return CPU_COUNT(&set) > 1;
}

// Facts about this process, found once at load; a fork inherits them, the registration in the kernel included.
std::atomic<std::uint32_t> cap_nanoseconds{0};  // relaxed: a hint

[[gnu::constructor]] void prepare_waiting() {
    cap_nanoseconds.store(may_use_two_cpus() ? default_cap : 0, std::memory_order_relaxed);
    const bool registered =
        ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
    internal::membarrier_ready.store(registered, std::memory_order_relaxed);
}

}  // namespace

std::chrono::nanoseconds spin_cap() {
    return std::chrono::nanoseconds(cap_nanoseconds.load(std::memory_order_relaxed));
}

void set_spin_cap(std::chrono::nanoseconds cap) {
    const auto wanted = std::clamp<std::int64_t>(cap.count(), 0, 200'000);
    cap_nanoseconds.store(static_cast<std::uint32_t>(wanted), std::memory_order_relaxed);
}

Patience& thread_patience() {
    thread_local Patience patience;
    return patience;
}

void Patience::learn(std::chrono::nanoseconds waited) {
    const std::int64_t cap = spin_cap().count();
    const std::int64_t length = waited.count();
    // Never to zero: the first looks are what notices that waits have become short again.
    const std::int64_t next = length <= cap ? std::clamp<std::int64_t>(2 * length, 2'000, std::max<std::int64_t>(cap, 2'000))
                                            : std::max<std::int64_t>(limit_.load(std::memory_order_relaxed) / 2, 2'000);
    limit_.store(static_cast<std::uint32_t>(next), std::memory_order_relaxed);
}

namespace internal {

std::atomic<bool> membarrier_ready{false};

void membarrier_all() { ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0); }

void yield() { ::sched_yield(); }

void wake(WakeWord& word, int count) {
    std::uint32_t seen = word.value.load(std::memory_order_relaxed);
    if (count == wake_everybody) {
        do {
            if (!(seen & 1)) return;
        } while (!word.value.compare_exchange_weak(seen, (seen + 2) & ~1U, std::memory_order_release,
                                                   std::memory_order_relaxed));
        kill_point();
        os::futex_wake_all(word.value);
        return;
    }
    do {
        if (!(seen & 1)) return;
    } while (!word.value.compare_exchange_weak(seen, seen + 2, std::memory_order_release, std::memory_order_relaxed));
    kill_point();
    std::uint32_t after = seen + 2;
    if (os::futex_wake(word.value, count) < count) {
        // Nobody was left asleep: the bit can go. Who is about to sleep on `after` finds another word and looks again;
        // who fell asleep on it since has lost the bit that speaks for it, and must look again too.
        if (word.value.compare_exchange_strong(after, (after + 2) & ~1U, std::memory_order_release,
                                               std::memory_order_relaxed)) {
            os::futex_wake_all(word.value);
        }
    }
}

void sleep(WakeWord& word, std::uint32_t seen, base::Deadline deadline, Sleep how) {
    os::futex_wait(word.value, seen,
                   how == Sleep::soundly ? deadline : earlier(deadline, base::Deadline::after(recheck_interval)));
}

}  // namespace internal
}  // namespace mp::shm
