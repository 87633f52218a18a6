// How often something may happen within a time. Knows no clock: it is told the time.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>

namespace mp::pool {

class RestartMeter {
  public:
    using Clock = std::chrono::steady_clock;

    /// More than `most` within `within` are too many.
    RestartMeter(std::size_t most, std::chrono::nanoseconds within) : most_(most), within_(within) {}

    /// One more, now; times do not go back. True when that is one too many.
    bool add(Clock::time_point now) {
        while (!times_.empty() && now - times_.front() > within_) times_.pop_front();
        times_.push_back(now);
        if (times_.size() <= most_) return false;
        times_.pop_front();  // no more are kept than matter
        return true;
    }

  private:
    std::size_t most_;
    std::chrono::nanoseconds within_;
    std::deque<Clock::time_point> times_;
};

}  // namespace mp::pool
