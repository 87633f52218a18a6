/// \file
/// Locks and signals between processes.
///
/// Each object lives in shared memory; copies are the same object, and it can be an argument, a member of a message,
/// a capture. All functions may be called from any thread of any process. Who dies blocks nobody: see each class.
/// Waits may be long; a limit that has passed is a return value. Durations may be negative (no wait) or huge (for ever).
#pragma once

#include <chrono>
#include <cstddef>
#include <iosfwd>

#include <multiprocessing/detail/shared_block.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
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
/// \endcond

}  // namespace mp
