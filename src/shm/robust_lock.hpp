// A lock in shared memory that outlives its owner: when the owner dies, the next one gets it and is told.
//
// A process-shared, robust, error-checking pthread mutex. What it guards becomes visible by single aligned stores
// (see docs/design/shared-memory.md), so the next owner has nothing to repair before it may go on: lock() makes the
// mutex consistent at once and only reports that it had to.
#pragma once

#include <pthread.h>

#include <cstdint>

#include "base/deadline.hpp"
#include "base/expected.hpp"

namespace mp::shm {

enum class Acquired { timed_out, clean, recovered };

class RobustLock {
  public:
    enum class Kind { plain, recursive };

    /// Call once, before anybody else can see the memory. Never destroyed: the memory just goes away.
    base::Expected<void> initialise(Kind kind = Kind::plain);

    /// Error EDEADLK: the calling thread holds this plain lock already. Spins for a moment before it sleeps.
    base::Expected<Acquired> lock(base::Deadline deadline = base::Deadline::never());
    /// Never waits; timed_out when it is taken, also by the calling thread itself (plain).
    base::Expected<Acquired> try_lock();
    /// Error EPERM: the calling thread does not hold it.
    base::Expected<void> unlock();

    // The same for the paths where every nanosecond counts: pthread's own results. try_raw() other than 0 must be
    // handed to finish_lock(), for the lock may be ours all the same (EOWNERDEAD).
    int try_raw() { return ::pthread_mutex_trylock(&mutex_); }
    base::Expected<Acquired> finish_lock(int result, base::Deadline deadline);
    int unlock_raw() { return ::pthread_mutex_unlock(&mutex_); }

    /// Thread id of who holds it, 0 for nobody; out of date as soon as it is returned.
    std::uint32_t owner() const;
    /// How often the owner has locked it (recursive; for its owner, or for debugging).
    std::uint32_t depth() const { return static_cast<std::uint32_t>(mutex_.__data.__count); }

  private:
    base::Expected<Acquired> settle(int result);

    pthread_mutex_t mutex_;
};
static_assert(sizeof(RobustLock) <= 48);

/// For code where a failure of the lock itself can only mean a bug or destroyed memory: takes the lock, waits for it
/// as long as it takes, and releases it in the destructor. Throws std::system_error.
class RobustHold {
  public:
    explicit RobustHold(RobustLock& lock) : lock_(&lock), recovered_(false) {
        if (const int result = lock.try_raw(); result != 0) [[unlikely]] finish(result);
    }
    RobustHold(const RobustHold&) = delete;
    RobustHold& operator=(const RobustHold&) = delete;
    ~RobustHold() { unlock(); }

    bool recovered() const { return recovered_; }
    void unlock() {
        if (lock_) lock_->unlock_raw();
        lock_ = nullptr;
    }

  private:
    void finish(int result);

    RobustLock* lock_;
    bool recovered_;
};

}  // namespace mp::shm
