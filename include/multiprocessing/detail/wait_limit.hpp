/// \file
/// Durations and points in time of any clock as what the compiled functions take.
#pragma once

#include <chrono>

namespace mp::detail {

/// How long to wait at most; zero: do not wait; `forever`: no limit.
using WaitLimit = std::chrono::nanoseconds;
inline constexpr WaitLimit forever = WaitLimit::max();
inline constexpr WaitLimit not_at_all = WaitLimit::zero();

/// Negative (and not a number) counts as zero, what is too long to count as forever.
template <class Rep, class Period>
constexpr WaitLimit wait_limit(std::chrono::duration<Rep, Period> duration) {
    const double seconds = std::chrono::duration<double>(duration).count();
    if (!(seconds > 0)) return not_at_all;
    if (seconds > 1e9) return forever;
    return std::chrono::ceil<WaitLimit>(duration);
}

template <class Clock, class Duration>
WaitLimit wait_limit(std::chrono::time_point<Clock, Duration> point) {
    return wait_limit(point - Clock::now());
}

}  // namespace mp::detail
