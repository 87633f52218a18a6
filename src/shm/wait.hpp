// How everything in this library waits: look, spin while that has paid off lately, yield, announce, look again, sleep.
//
// A WakeWord lies in shared memory beside what is waited for. Whoever changes that state stores the data first and
// then calls notify(); whoever waits calls wait_until() with a predicate over the state. Nothing is counted in shared
// memory: bit 0 of the word says "somebody may be asleep", so that a sleeper killed in its sleep costs the next
// notifier at most one needless system call. A wake-up swallowed by a process that is killed before it could act on it
// costs the others at most `recheck_interval`: every sleeper looks again on its own that often. Only where nobody else
// can swallow a wake-up - one process ever waits, and it ends with the one that notifies - it need not: Sleep::soundly.
//
//   notifier                                   sleeper
//   data.store(release)                        word |= 1
//   order_publish()                            order_sleep()
//   if (word & 1) word += 2; futex_wake        if (ready()) return; futex_wait(word)
//
// order_publish/order_sleep together are a full barrier on both sides (no store-load reordering). Asymmetric: the
// notifier pays a compiler barrier, the sleeper a membarrier(2). Fenced: each pays a fence, cheaper where sleeping is
// frequent. Both sides of one word must use the same Ordering; if membarrier is missing, asymmetric becomes fenced.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/deadline.hpp"
#include "shm/kill_point.hpp"

namespace mp::shm {

/// Bit 0: somebody may be asleep. Bits 1-31: sequence, advanced by each wake-up. Written by sleepers (set the bit) and
/// notifiers (advance); all with read-modify-write, so no announcement is overwritten.
struct WakeWord {
    std::atomic<std::uint32_t> value{0};
};
static_assert(sizeof(WakeWord) == 4);

enum class Ordering { asymmetric, fenced };

inline constexpr int wake_everybody = 0x7fffffff;

/// The longest a sleeper trusts others to wake it.
inline constexpr std::chrono::milliseconds recheck_interval{100};

/// Whether a sleeper looks again on its own.
enum class Sleep { lightly, soundly };

/// The longest anybody spins: four times what it costs this process to wake somebody, 10 to 200 µs, 50 before it has
/// woken anybody; or what was set. Shorter than the other side needs to wake up it would never end well, and both sides
/// would sleep for each message for ever after; but then each message is a wake-up that is learned from. 0 when this
/// process may use only one CPU.
std::chrono::nanoseconds spin_cap();
void set_spin_cap(std::chrono::nanoseconds cap);

/// How long one waiter spins before it sleeps: twice its last short wait, halved by each long one, at most the cap.
/// Process-local; safe to share between threads, which then share the experience.
class Patience {
  public:
    std::chrono::nanoseconds limit() const { return std::chrono::nanoseconds(limit_.load(std::memory_order_relaxed)); }
    /// Tells the length of a wait that has just ended well.
    void learn(std::chrono::nanoseconds waited);

  private:
    std::atomic<std::uint32_t> limit_{20'000};  // nanoseconds; relaxed: a hint
};

/// When the quicker side of a stream of short messages looks for more. Looking all the time, it would take each cache line
/// from the other side as that writes it, and every message would cost both the journey of a line. So it looks away for
/// some microseconds, and then finds many messages, or room for many. Whether that pays is found by trying it, now and
/// then: in request and answer it does not, and is not done. Process-local; safe to share between threads.
class Pace {
  public:
    /// When all that was seen at the last look has passed, before the next one: looks away if that may be worth while, and
    /// says whether it did. Then found() must follow.
    bool look_away();
    /// How many messages, or room for how many, there were after looking away.
    void found(std::uint64_t messages);
    /// When look_away() did, and there is not enough yet: the same for some microseconds more.
    static void once_more();

  private:
    // Relaxed: hints.
    std::atomic<bool> pays_{false};           // the last look away did
    std::atomic<std::uint32_t> skipped_{32};  // how many calls pass without one after one that did not pay
    std::atomic<std::uint32_t> left_{32};     // … of them still to come
};

/// The calling thread's own patience, for waits that have no better place to remember.
Patience& thread_patience();

namespace internal {
extern std::atomic<bool> membarrier_ready;  // set once before main; relaxed reads
void membarrier_all();
void wake(WakeWord& word, int count);
void sleep(WakeWord& word, std::uint32_t seen, base::Deadline deadline, Sleep how);
void learn_wake(std::chrono::nanoseconds took);
void yield();
void yield_to_woken();
inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}
inline void full_fence() {
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    // A locked instruction orders as mfence does and is several times cheaper.
    asm volatile("lock orl $0, -8(%%rsp)" ::: "memory", "cc");
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}
}  // namespace internal

/// Notifier's half of the barrier: between publishing the data and looking at the word.
template <Ordering ordering = Ordering::asymmetric>
void order_publish() {
    if (ordering == Ordering::asymmetric && internal::membarrier_ready.load(std::memory_order_relaxed)) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
        internal::full_fence();
    }
}

/// Sleeper's half: between announcing itself and looking a last time.
template <Ordering ordering = Ordering::asymmetric>
void order_sleep() {
    internal::full_fence();
    if (ordering == Ordering::asymmetric && internal::membarrier_ready.load(std::memory_order_relaxed)) {
        internal::membarrier_all();
    }
}

/// True when a notifier that has published (and passed order_publish) must wake somebody.
inline bool has_sleeper(const WakeWord& word) { return word.value.load(std::memory_order_relaxed) & 1; }

/// Wakes up to `count` sleepers; one atomic load when nobody sleeps. The data must have been stored before. Who wakes
/// fewer than all must see to it that a woken waiter which leaves work behind wakes the next.
template <Ordering ordering = Ordering::asymmetric>
void notify(WakeWord& word, int count = wake_everybody) {
    order_publish<ordering>();
    if (has_sleeper(word)) [[unlikely]] internal::wake(word, count);
}

/// Waits until `ready()` is true; false when the deadline passed first (ready() was then looked at once more).
/// `ready` must be cheap and read shared state with acquire order. `on_wake()` runs after each sleep that did not end
/// the wait, at least every recheck_interval: it may look at costly things (is the peer alive?) and returns false to
/// give up waiting, in which case the result is a last ready().
template <Ordering ordering = Ordering::asymmetric, Sleep how = Sleep::lightly, class Ready, class OnWake>
bool wait_until(WakeWord& word, Ready&& ready, base::Deadline deadline, Patience& patience, OnWake&& on_wake) {
    using Clock = base::Deadline::Clock;
    if (ready()) return true;
    const auto limit = patience.limit() < spin_cap() ? patience.limit() : spin_cap();
    const auto start = Clock::now();
    const auto limit_point = deadline.point();
    if (limit_point && *limit_point <= start) return ready();
    if (limit.count() > 0) {
        // A few looks as close together as possible catch an answer that is already on its way between two cores;
        // then the looks get rarer, so that the line being watched is left to its writer.
        for (int look = 0; look < 64; ++look) {
            if (ready()) return true;
            internal::pause();
        }
        internal::yield_to_woken();
        for (int pauses = 2;; pauses = pauses < 16 ? pauses * 2 : pauses) {
            for (int i = 0; i < pauses; ++i) internal::pause();
            if (ready()) {
                patience.learn(Clock::now() - start);
                return true;
            }
            const auto now = Clock::now();
            if (limit_point && now >= *limit_point) return ready();
            if (now - start >= limit) break;
        }
    }
    // Whoever we wait for may be waiting for this very CPU.
    for (int i = limit.count() > 0 ? 4 : 20; i > 0; --i) {
        internal::yield();
        if (ready()) {
            patience.learn(Clock::now() - start);
            return true;
        }
    }
    for (;;) {
        std::uint32_t seen = word.value.load(std::memory_order_relaxed);
        while (!(seen & 1) && !word.value.compare_exchange_weak(seen, seen | 1, std::memory_order_relaxed)) {
        }
        seen |= 1;
        kill_point();
        order_sleep<ordering>();
        if (ready()) {
            patience.learn(Clock::now() - start);
            return true;
        }
        if (deadline.expired()) return false;
        internal::sleep(word, seen, deadline, how);
        kill_point();
        if (ready()) {
            patience.learn(Clock::now() - start);
            return true;
        }
        if (deadline.expired()) return ready();
        if (!on_wake()) return ready();
    }
}

template <Ordering ordering = Ordering::asymmetric, class Ready>
bool wait_until(WakeWord& word, Ready&& ready, base::Deadline deadline, Patience& patience) {
    return wait_until<ordering>(word, ready, deadline, patience, [] { return true; });
}

template <Ordering ordering = Ordering::asymmetric, class Ready>
bool wait_until(WakeWord& word, Ready&& ready, base::Deadline deadline) {
    return wait_until<ordering>(word, ready, deadline, thread_patience());
}

}  // namespace mp::shm
