/// \file
/// Locks and signals between processes.
///
/// Each object lives in shared memory; copies are the same object, and it can be an argument, a member of a message,
/// a capture. All functions may be called from any thread of any process. Who dies blocks nobody: see each class.
/// Waits may be long; a limit that has passed is a return value. Durations may be negative (no wait) or huge (for ever).
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <mutex>  // std::scoped_lock and std::unique_lock are how these are used
#include <utility>

#include <multiprocessing/detail/shared_block.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

namespace detail {

/// What Lock and RLock have in common: a robust mutex in shared memory.
class MP_EXPORT BasicLock {
  public:
    /// Waits until the lock is this thread's.
    void lock() { acquire(forever); }
    [[nodiscard]] bool try_lock() { return acquire(not_at_all); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> limit) {
        return acquire(wait_limit(limit));
    }
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> limit) {
        return acquire(wait_limit(limit));
    }
    /// Throws SystemError (EPERM) when this thread does not hold it.
    void unlock();

    /// For the holder: whether the lock was taken over from an owner that died while holding it. What it protects may
    /// then be half-done.
    bool recovered() const noexcept;
    /// Whether anybody holds it; out of date as soon as it is returned.
    bool locked() const noexcept;

    /// Whether both are the same lock.
    friend bool operator==(const BasicLock& a, const BasicLock& b) noexcept { return a.block_ == b.block_; }

    /// \cond internal
    const SharedBlock& internal_block() const noexcept { return block_; }
    void internal_write(std::ostream& out) const;
    /// \endcond

  protected:
    explicit BasicLock(BlockKind kind);
    BasicLock(const serial::Handle& handle, BlockKind kind);
    bool acquire(WaitLimit limit);

    SharedBlock block_;
};

}  // namespace detail

/// One at a time, among all threads of all processes: TimedLockable, so std::scoped_lock and std::unique_lock work.
/// Belongs to the thread that locked it. Locking it twice in one thread throws SystemError (EDEADLK) instead of waiting
/// for ever. When the owner dies, the next one gets the lock and is told by recovered().
class MP_EXPORT Lock : public detail::BasicLock {
  public:
    /// A new, free lock. Throws SystemError when there is no memory or descriptor left.
    Lock();
    /// \cond internal
    explicit Lock(const serial::Handle& handle);
    /// \endcond
};

/// A Lock that its owner may lock again; it is free after as many unlocks.
class MP_EXPORT RLock : public detail::BasicLock {
  public:
    RLock();
    /// \cond internal
    explicit RLock(const serial::Handle& handle);
    /// \endcond
};

/// `Lock(owner=none)`, `Lock(owner=this process)`, `Lock(owner=pid 812, thread 815)`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Lock& lock);
/// As for Lock, with the depth: `RLock(owner=this process, depth=2)`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const RLock& lock);

namespace detail {

/// What Semaphore and BoundedSemaphore have in common: the ways to wait, and what makes them TimedLockable. `Own` has
/// `take(WaitLimit)` and `release()`.
template <class Own>
class SemaphoreFace {
  public:
    void acquire() { (void)own().take(forever); }
    [[nodiscard]] bool try_acquire() { return own().take(not_at_all); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> limit) {
        return own().take(wait_limit(limit));
    }

    // The same for std::scoped_lock and std::unique_lock.
    void lock() { acquire(); }
    [[nodiscard]] bool try_lock() { return try_acquire(); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> limit) {
        return try_acquire_for(limit);
    }
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> limit) {
        return own().take(wait_limit(limit));
    }
    void unlock() { own().release(); }

    /// Whether both are the same semaphore.
    friend bool operator==(const Own& a, const Own& b) noexcept { return a.block_ == b.block_; }

    /// \cond internal
    const SharedBlock& internal_block() const noexcept { return block_; }
    /// \endcond

  protected:
    explicit SemaphoreFace(SharedBlock block) noexcept : block_(std::move(block)) {}

    SharedBlock block_;

  private:
    Own& own() noexcept { return static_cast<Own&>(*this); }
};

}  // namespace detail

/// Counts permits: acquire takes one and waits while there are none, release adds some - by whoever likes, also beyond
/// the initial number. A permit belongs to nobody: one that a killed process had taken stays taken (BoundedSemaphore
/// gives it back).
class MP_EXPORT Semaphore : public detail::SemaphoreFace<Semaphore> {
  public:
    /// With so many permits; 0 is possible. Throws SystemError when there is no memory.
    explicit Semaphore(std::size_t permits = 1);

    /// Gives permits back, or adds new ones.
    void release(std::size_t permits = 1);
    /// Permits that are left; out of date as soon as it is returned.
    std::size_t value() const noexcept;

    /// \cond internal
    explicit Semaphore(const serial::Handle& handle);
    /// \endcond

  private:
    friend class detail::SemaphoreFace<Semaphore>;
    bool take(detail::WaitLimit limit);
};

/// A Semaphore for a resource of which there are so many: never more permits than at first (releasing more throws
/// SystemError, EPERM), and what a process holds that is killed goes back to the others, within about 100 ms.
class MP_EXPORT BoundedSemaphore : public detail::SemaphoreFace<BoundedSemaphore> {
  public:
    /// With so many permits, which are also the most.
    explicit BoundedSemaphore(std::size_t permits = 1);

    /// Gives back a permit of this process, or, when it has none, of another one that lives.
    void release();
    /// Permits left; exact at one instant during the call.
    std::size_t value() const noexcept;
    /// Whether a permit was ever taken back from a killed process.
    bool recovered() const noexcept;

    /// \cond internal
    explicit BoundedSemaphore(const serial::Handle& handle);
    void internal_write(std::ostream& out) const;
    /// \endcond

  private:
    friend class detail::SemaphoreFace<BoundedSemaphore>;
    bool take(detail::WaitLimit limit);
};

/// `Semaphore(value=3)`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Semaphore& semaphore);
/// With who holds how many: `BoundedSemaphore(value=1/3, process 812 holds 2)`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const BoundedSemaphore& semaphore);

/// Waits for something that others bring about under a lock, and is told by them. Its waiters are woken in the order
/// of their arrival, none for nothing; notify wakes only who waits at that moment, and a killed waiter neither blocks it
/// nor uses up a notification.
///
/// The lock may be any Lockable that all sides share (a Lock, std::unique_lock of one); a Condition is also a lock of
/// its own (recursive), for which wait needs no argument.
class MP_EXPORT Condition {
  public:
    Condition();

    /// Unlocks, waits to be notified, locks again.
    template <class L>
        requires(!std::predicate<L&>)
    void wait(L& lock) {
        (void)wait_within(lock, detail::forever);
    }
    /// False when it was not notified in time.
    template <class L, class Rep, class Period>
    bool wait_for(L& lock, std::chrono::duration<Rep, Period> limit) {
        return wait_within(lock, detail::wait_limit(limit));
    }
    /// Waits until `ready()`, which is called with the lock held.
    template <class L, class Ready>
    void wait(L& lock, Ready ready) {
        while (!ready()) wait(lock);
    }
    /// The last ready().
    template <class L, class Rep, class Period, class Ready>
    bool wait_for(L& lock, std::chrono::duration<Rep, Period> limit, Ready ready) {
        const auto wait = detail::wait_limit(limit);
        const auto start = std::chrono::steady_clock::now();
        while (!ready()) {
            const auto spent = std::chrono::steady_clock::now() - start;
            if (wait != detail::forever && spent >= wait) return ready();
            (void)wait_within(lock, wait == detail::forever ? wait : wait - spent);
        }
        return true;
    }

    /// Wakes as many as `count` of those that wait, in the order in which they came; none later.
    void notify_one(std::size_t count = 1);
    /// Wakes all that wait now.
    void notify_all();

    // Its own lock.
    void lock() { own_.lock(); }
    [[nodiscard]] bool try_lock() { return own_.try_lock(); }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> limit) {
        return own_.try_lock_for(limit);
    }
    void unlock() { own_.unlock(); }
    // The waits above with it, which the caller holds.
    void wait() { wait(own_); }
    template <std::predicate Ready>
    void wait(Ready ready) {
        wait(own_, std::move(ready));
    }
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) {
        return wait_for(own_, limit);
    }
    template <class Rep, class Period, std::predicate Ready>
    bool wait_for(std::chrono::duration<Rep, Period> limit, Ready ready) {
        return wait_for(own_, limit, std::move(ready));
    }

    /// \cond internal
    Condition(const serial::Handle& waiters, const serial::Handle& lock);
    void internal_write(std::ostream& out) const;
    const detail::SharedBlock& internal_block() const noexcept { return block_; }
    const RLock& internal_lock() const noexcept { return own_; }
    /// \endcond

  private:
    /// Locks again whatever happens.
    template <class L>
    struct Relock {
        explicit Relock(L& l) : lock(l) { lock.unlock(); }
        ~Relock() { lock.lock(); }
        L& lock;
    };

    template <class L>
    bool wait_within(L& lock, detail::WaitLimit limit) {
        const std::uint32_t place = enroll();
        const Relock<L> relock(lock);
        return await(place, limit);
    }
    std::uint32_t enroll();
    bool await(std::uint32_t place, detail::WaitLimit limit);

    detail::SharedBlock block_;
    RLock own_;
};

/// With its own lock: `Condition(RLock(owner=none, depth=0), waiters=2)`. A killed waiter is counted until somebody notifies.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Condition& condition);

/// A flag to wait for.
class MP_EXPORT Event {
  public:
    Event();

    /// Sets the flag and lets all waiters go on, also when it is cleared again at once.
    void set();
    /// Down again: who comes later waits.
    void clear();
    /// Whether wait() would not wait.
    bool is_set() const noexcept;
    /// Until it is set; also when it was set and cleared meanwhile.
    void wait() { (void)await(detail::forever); }
    /// Whether the flag was set in time.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) {
        return await(detail::wait_limit(limit));
    }

    /// \cond internal
    explicit Event(const serial::Handle& handle);
    const detail::SharedBlock& internal_block() const noexcept { return block_; }
    /// \endcond

  private:
    bool await(detail::WaitLimit limit);

    detail::SharedBlock block_;
};

/// `Event(set)`, `Event(unset)`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Event& event);

/// A Barrier that cannot be passed: aborted, reset while waiting, out of time, or a party was killed at it.
class MP_EXPORT BrokenBarrier : public Error {
  public:
    using Error::Error;
    BrokenBarrier(const BrokenBarrier&) = default;
    BrokenBarrier& operator=(const BrokenBarrier&) = default;
    ~BrokenBarrier() override;
};

/// Where a fixed number of parties wait for each other, round after round.
///
/// A party that is killed while it waits, or while it runs the action, breaks the barrier for the others, within about
/// 100 ms. One that is killed elsewhere just never arrives: set a limit to the wait if that may happen.
class MP_EXPORT Barrier {
  public:
    /// `action` is run once a round, by the last party to arrive, before any goes on; when it throws, the barrier is
    /// broken. It belongs to this object and its copies in this process and to forks; a Barrier that arrives in a
    /// message has none. `limit`: for every wait() without one.
    explicit Barrier(std::size_t parties, std::function<void()> action = {}) : Barrier(parties, std::move(action), detail::forever) {}
    /// With a limit for every wait() without one.
    template <class Rep, class Period>
    Barrier(std::size_t parties, std::function<void()> action, std::chrono::duration<Rep, Period> limit)
        : Barrier(parties, std::move(action), detail::wait_limit(limit)) {}

    /// Waits for all; the order of arrival in this round, from 0. Throws BrokenBarrier.
    std::size_t wait() { return arrive(limit_); }
    /// Breaks the barrier, and throws, when not all arrive in time.
    template <class Rep, class Period>
    std::size_t wait_for(std::chrono::duration<Rep, Period> limit) {
        return arrive(detail::wait_limit(limit));
    }
    /// Breaks it for all who wait and who come, until reset().
    void abort();
    /// Makes it as new; who waits gets BrokenBarrier.
    void reset();

    /// How many must come together.
    std::size_t parties() const noexcept;
    /// How many wait now.
    std::size_t waiting() const;
    /// Whether waiting throws until reset().
    bool broken() const noexcept;

    /// \cond internal
    explicit Barrier(const serial::Handle& handle);
    const detail::SharedBlock& internal_block() const noexcept { return block_; }
    /// \endcond

  private:
    Barrier(std::size_t parties, std::function<void()> action, detail::WaitLimit limit);
    std::size_t arrive(detail::WaitLimit limit);

    detail::SharedBlock block_;
    std::function<void()> action_;
    detail::WaitLimit limit_ = detail::forever;
};

/// `Barrier(waiting=1/3)`, `Barrier(broken, waiting=0/3)`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Barrier& barrier);

/// \cond internal
namespace detail {

/// Codec of an object that is one block of shared memory.
template <class T>
struct BlockCodec {
    static void encode(serial::Writer& writer, const T& object) { writer.attach(object.internal_block().handle()); }
    static T decode(serial::Reader& reader) { return T(reader.take_handle()); }
};

}  // namespace detail

template <>
struct serial::codec<Lock> : mp::detail::BlockCodec<Lock> {};
template <>
struct serial::codec<RLock> : mp::detail::BlockCodec<RLock> {};
template <>
struct serial::codec<Semaphore> : mp::detail::BlockCodec<Semaphore> {};
template <>
struct serial::codec<BoundedSemaphore> : mp::detail::BlockCodec<BoundedSemaphore> {};
template <>
struct serial::codec<Event> : mp::detail::BlockCodec<Event> {};
template <>
struct serial::codec<Barrier> : mp::detail::BlockCodec<Barrier> {};
template <>
struct serial::codec<Condition> {
    static void encode(Writer& writer, const Condition& condition) {
        writer.attach(condition.internal_block().handle());
        writer.attach(condition.internal_lock().internal_block().handle());
    }
    static Condition decode(Reader& reader) {
        const auto waiters = reader.take_handle();
        return Condition(waiters, reader.take_handle());
    }
};
/// \endcond

}  // namespace mp
