#include "shm/wait.hpp"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "os/futex.hpp"

namespace mp::shm {

namespace {

// Here and on any machine so far the one who wakes is busy for half as long as it takes until the woken one runs, and
// spinning is worth up to twice that time.
constexpr std::uint32_t caps_a_wake = 4, least_cap = 10'000, most_cap = 200'000;

bool may_use_two_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    // Fails with EINVAL where the kernel's mask is larger than ours: such a machine has CPUs to spare.
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return true;
    return CPU_COUNT(&set) > 1;
}

// Facts about this process, found once at load; a fork inherits them, the registration in the kernel included.
std::atomic<std::uint32_t> wake_nanoseconds{12'500};  // what waking somebody costs, about the median. Relaxed: a hint
std::atomic<std::uint32_t> cap_nanoseconds{0};        // relaxed: a hint
std::atomic<bool> cap_is_given{false};                // by set_spin_cap(), or because there is one CPU. Relaxed

[[gnu::constructor]] void prepare_waiting() {
    const bool spins = may_use_two_cpus();
    cap_nanoseconds.store(spins ? caps_a_wake * wake_nanoseconds.load(std::memory_order_relaxed) : 0,
                          std::memory_order_relaxed);
    cap_is_given.store(!spins, std::memory_order_relaxed);
    const bool registered =
        ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
    internal::membarrier_ready.store(registered, std::memory_order_relaxed);
}

}  // namespace

std::chrono::nanoseconds spin_cap() {
    return std::chrono::nanoseconds(cap_nanoseconds.load(std::memory_order_relaxed));
}

void set_spin_cap(std::chrono::nanoseconds cap) {
    const auto wanted = std::clamp<std::int64_t>(cap.count(), 0, most_cap);
    cap_is_given.store(true, std::memory_order_relaxed);
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

namespace {

// Long enough for the other side to get through the lines that were taken from it, and on.
constexpr std::uint32_t first_look_away = 10, next_look_away = 4;  // µs
constexpr std::uint64_t many = 16;                                 // messages that are worth a look away
constexpr std::uint32_t least_skipped = 32, most_skipped = 4096;

void pause_for(std::uint32_t microseconds) {
    // A pause takes 3 to 50 ns, depending on the processor: found out once.
    static const std::uint32_t pauses_a_microsecond = [] {
        using Clock = std::chrono::steady_clock;
        constexpr std::int64_t tried = 64;
        const auto start = Clock::now();
        for (int i = 0; i < tried; ++i) internal::pause();
        const std::int64_t took = std::max<std::int64_t>(std::chrono::nanoseconds(Clock::now() - start).count(), 1);
        return static_cast<std::uint32_t>(std::clamp<std::int64_t>(tried * 1000 / took, 8, 300));
    }();
    for (std::uint32_t i = 0; i < microseconds * pauses_a_microsecond; ++i) internal::pause();
}

}  // namespace

bool Pace::look_away() {
    constexpr auto relaxed = std::memory_order_relaxed;
    if (spin_cap().count() == 0) return false;
    if (const std::uint32_t left = left_.load(relaxed); left != 0) {
        left_.store(left - 1, relaxed);
        return false;
    }
    pause_for(pays_.load(relaxed) ? next_look_away : first_look_away);
    return true;
}

void Pace::found(std::uint64_t messages) {
    constexpr auto relaxed = std::memory_order_relaxed;
    const bool pays = messages >= many;
    const std::uint32_t skipped = pays ? least_skipped : std::min(2 * skipped_.load(relaxed), most_skipped);
    pays_.store(pays, relaxed);
    skipped_.store(skipped, relaxed);
    left_.store(pays ? 0 : skipped, relaxed);
}

void Pace::once_more() { pause_for(next_look_away); }

namespace internal {

std::atomic<bool> membarrier_ready{false};

void membarrier_all() { ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0); }

void yield() { ::sched_yield(); }

namespace {
/// This thread has woken somebody since it last waited.
thread_local bool has_woken = false;
}  // namespace

/// The scheduler may have put whom this thread has woken on this very CPU, to run when it sleeps.
void yield_to_woken() {
    if (std::exchange(has_woken, false)) yield();
}

void learn_wake(std::chrono::nanoseconds took) {
    constexpr auto relaxed = std::memory_order_relaxed;
    if (cap_is_given.load(relaxed)) return;
    // A step up or down for each: ends where as many are longer as shorter, whatever the longest are.
    const std::uint32_t believed = wake_nanoseconds.load(relaxed);
    const std::uint32_t step = believed / 8;
    const bool more = took.count() > believed;
    const std::uint32_t next = std::clamp(more ? believed + step : believed - step, least_cap / caps_a_wake,
                                          most_cap / caps_a_wake);
    wake_nanoseconds.store(next, relaxed);
    cap_nanoseconds.store(caps_a_wake * next, relaxed);
}

namespace {

/// How many were woken.
int timed_wake(WakeWord& word, int count) {
    const auto start = base::Deadline::Clock::now();
    const int woken = os::futex_wake(word.value, count);
    if (woken > 0) learn_wake(base::Deadline::Clock::now() - start);
    return woken;
}

}  // namespace

void wake(WakeWord& word, int count) {
    has_woken = true;
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
    if (timed_wake(word, count) < count) {
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
