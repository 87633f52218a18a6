#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace mp::os {

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, base::Deadline deadline) {
    timespec limit{};
    const auto point = deadline.point();
    if (point) {
        const auto since = point->time_since_epoch();
        const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
        limit.tv_sec = seconds.count();
        limit.tv_nsec = std::chrono::nanoseconds(since - seconds).count();
    }
    // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, which is what steady_clock counts.
    const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, point ? &limit : nullptr, nullptr,
                                  FUTEX_BITSET_MATCH_ANY);
    return !(result == -1 && errno == ETIMEDOUT);
}

int futex_wake(const std::atomic<std::uint32_t>& word, int count) {
    const long woken = ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
    return woken > 0 ? static_cast<int>(woken) : 0;
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) { futex_wake(word, INT_MAX); }

}  // namespace mp::os
