// How far the stopping of one task is: token, SIGTERM, SIGKILL, each once and in time. Knows no clock and no process.
#pragma once

#include <chrono>
#include <optional>

#include <multiprocessing/pool_options.hpp>

namespace mp::pool {

class StopProgress {
  public:
    using Clock = std::chrono::steady_clock;
    enum class Step { token, terminate, kill };

    /// The first step is due at `begin`.
    StopProgress(const StopLadder& ladder, Clock::time_point begin) : ladder_(ladder), due_(begin) {}

    /// The next step when it is due; each is named once. Steps without a time of their own are left out.
    std::optional<Step> advance(Clock::time_point now) {
        while (due_ != never && now >= due_) {
            const Step step = next_;
            if (step == Step::kill) {
                due_ = never;
                return step;
            }
            const TimeLimit wait = step == Step::token ? ladder_.token : ladder_.terminate;
            next_ = step == Step::token ? Step::terminate : Step::kill;
            if (wait.unlimited()) due_ = never;
            else due_ += wait.nanoseconds();
            if (wait.nanoseconds() > std::chrono::nanoseconds(0)) return step;
        }
        return std::nullopt;
    }
    /// When to look again; nothing when no step is left.
    std::optional<Clock::time_point> due() const { return due_ == never ? std::nullopt : std::optional(due_); }

  private:
    static constexpr auto never = Clock::time_point::max();
    StopLadder ladder_;
    Step next_ = Step::token;
    Clock::time_point due_;
};

}  // namespace mp::pool
