// A worker's looks at the clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace mp::pool {

using WorkerTime = std::chrono::steady_clock::time_point;

inline std::uint64_t nanoseconds(WorkerTime at) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(at.time_since_epoch()).count());
}
inline std::uint64_t nanoseconds_between(WorkerTime begin, WorkerTime end) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(end - begin).count());
}

/// One look a task: the end of one is the beginning of the next, unless there was a wait between.
class WorkerClock {
  public:
    /// When the last task ended, or now.
    WorkerTime begin() const { return ended_ ? *ended_ : std::chrono::steady_clock::now(); }
    /// A task, or a wait, has ended now.
    WorkerTime end() { return ended_.emplace(std::chrono::steady_clock::now()); }
    /// The same, by a look that was taken already.
    void end_at(WorkerTime now) { ended_ = now; }
    /// What comes next begins later than what was last ended.
    void lose() { ended_.reset(); }

  private:
    std::optional<WorkerTime> ended_;
};

}  // namespace mp::pool
