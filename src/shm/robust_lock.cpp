#include "shm/robust_lock.hpp"

#include <linux/futex.h>

#include <ctime>

#include "shm/wait.hpp"

namespace mp::shm {

namespace {

timespec to_timespec(base::Deadline::Clock::time_point point) {
    const auto since = point.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    return {static_cast<time_t>(seconds.count()),
            static_cast<long>(std::chrono::nanoseconds(since - seconds).count())};
}

}  // namespace

base::Expected<void> RobustLock::initialise(Kind kind) {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutexattr_settype(&attributes,
                                kind == Kind::recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_ERRORCHECK);
    const int result = ::pthread_mutex_init(&mutex_, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
    if (result != 0) return base::error_of(result);
    return {};
}

base::Expected<Acquired> RobustLock::settle(int result) {
    if (result == 0) return Acquired::clean;
    if (result == EOWNERDEAD) {
        ::pthread_mutex_consistent(&mutex_);
        return Acquired::recovered;
    }
    if (result == EBUSY || result == ETIMEDOUT) return Acquired::timed_out;
    return base::error_of(result);
}

base::Expected<Acquired> RobustLock::try_lock() {
    const int result = ::pthread_mutex_trylock(&mutex_);
    return settle(result == EDEADLK ? EBUSY : result);
}

base::Expected<Acquired> RobustLock::lock(base::Deadline deadline) { return finish_lock(try_raw(), deadline); }

base::Expected<Acquired> RobustLock::finish_lock(int result, base::Deadline deadline) {
    if (result != EBUSY) return settle(result);
    const auto point = deadline.point();
    if (point && deadline.expired()) return Acquired::timed_out;
    // Most holders are about to let go: wait for that with rare looks, which leave them the cache line.
    if (spin_cap().count() > 0) {
        for (int look = 0, pauses = 4; look < 16; ++look, pauses += 2) {
            for (int i = 0; i < pauses; ++i) internal::pause();
            if (owner() == 0) {
                result = ::pthread_mutex_trylock(&mutex_);
                if (result != EBUSY) return settle(result);
            }
        }
    }
    // Then let others run, the holder among them: with more processes than CPUs it may be waiting for this one.
    for (int look = 0; look < 16; ++look) {
        internal::yield();
        if (owner() != 0) continue;
        result = ::pthread_mutex_trylock(&mutex_);
        if (result != EBUSY) return settle(result);
    }
    for (;;) {
        // In slices: should the kernel ever hand a wake-up to a sleeper that is killed before it can use it, the
        // others look for themselves.
        const auto slice = earlier(deadline, base::Deadline::after(recheck_interval));
        const timespec limit = to_timespec(*slice.point());
        result = ::pthread_mutex_clocklock(&mutex_, CLOCK_MONOTONIC, &limit);
        if (result != ETIMEDOUT) return settle(result);
        if (deadline.expired()) return Acquired::timed_out;
    }
}

base::Expected<void> RobustLock::unlock() {
    const int result = ::pthread_mutex_unlock(&mutex_);
    if (result != 0) return base::error_of(result);
    return {};
}

std::uint32_t RobustLock::owner() const {
    // glibc keeps the futex word, that is the owner's thread id and two flags, in front on every Linux port.
    const auto* word = reinterpret_cast<const std::uint32_t*>(&mutex_);
    const std::uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
    return value & FUTEX_OWNER_DIED ? 0 : value & FUTEX_TID_MASK;
}

void RobustHold::finish(int result) {
    const auto acquired = lock_->finish_lock(result, base::Deadline::never());
    if (!acquired) throw std::system_error(acquired.error());
    recovered_ = *acquired == Acquired::recovered;
}

}  // namespace mp::shm
