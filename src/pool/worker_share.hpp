// When a worker has done its share, and makes room for a new one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "os/private_memory.hpp"
#include "pool/worker.hpp"

namespace mp::pool {

/// Counts tasks and elements, and knows the limits: of their number, of age, of growth of private memory.
class WorkerShare {
  public:
    explicit WorkerShare(const WorkerStart& start)
        : max_tasks_(start.max_tasks),
          max_age_(static_cast<std::int64_t>(start.max_age)),
          max_growth_(start.max_growth) {}

    /// The initializer has run: age and growth count from here.
    void begin() {
        began_ = Clock::now();
        if (max_growth_) memory_at_first_ = os::private_memory();
    }

    void add(std::uint64_t tasks) { done_ += tasks; }
    std::uint64_t done() const { return done_; }

    /// How many of `wanted` may still be begun when `more` were done that are not added yet; at least one.
    std::uint64_t most(std::uint64_t wanted, std::uint64_t more) const {
        if (!max_tasks_) return wanted;
        return std::min(wanted, std::max<std::uint64_t>(1, max_tasks_ - std::min(done_ + more, max_tasks_)));
    }

    /// Only after a task: a limit that is over at once must not keep the pool from working.
    bool is_over(std::uint64_t more = 0) {
        if (max_tasks_ && done_ + more >= max_tasks_) return true;
        if (done_ + more == 0 || (max_age_.count() == 0 && max_growth_ == 0)) return false;
        const auto now = Clock::now();
        if (max_age_.count() != 0 && now - began_ > max_age_) return true;
        constexpr std::chrono::milliseconds between_looks{100};
        if (max_growth_ == 0 || now < next_memory_look_) return false;
        next_memory_look_ = now + between_looks;
        return os::private_memory() > memory_at_first_ + max_growth_;
    }

  private:
    using Clock = std::chrono::steady_clock;

    std::uint64_t max_tasks_;
    std::chrono::nanoseconds max_age_;
    std::uint64_t max_growth_;
    std::uint64_t done_ = 0;
    Clock::time_point began_{};
    std::uint64_t memory_at_first_ = 0;
    Clock::time_point next_memory_look_{};
};

}  // namespace mp::pool
