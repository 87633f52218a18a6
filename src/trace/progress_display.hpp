// Reports the progress of one call while it runs: on the terminal, as plain lines, or to a function.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include <multiprocessing/progress.hpp>

#include "trace/progress_text.hpp"
#include "trace/screen.hpp"

namespace mp::trace {

/// What the call knows; everything else is computed from it.
struct ProgressCounts {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
};

/// One thread. Destroyed without finish(), it takes its lines away.
class ProgressDisplay {
  public:
    using Clock = std::chrono::steady_clock;
    /// Asked for when a report is due; `workers` only if the option wants them.
    struct Source {
        std::function<ProgressCounts()> counts;
        std::function<std::vector<WorkerStats>()> workers;
    };

    ProgressDisplay(const ProgressOption& option, std::string label, std::optional<std::uint64_t> total, Source source);
    ~ProgressDisplay();
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;

    /// To be called as often as one likes, at least ten times a second: one look at the clock when nothing is due.
    /// Throws what the option's function throws.
    void tick();
    /// The same for loops that turn millions of times a second: looks at the clock rarely.
    void tick_often() {
        if (++turns_ >= pause_) tick_after_pause();
    }
    /// The last report.
    void finish();

    /// When tick() wants to be called next.
    Clock::time_point due() const { return due_; }

  private:
    void report(Clock::time_point now, bool finished);
    void tick_after_pause();

    const ProgressOption option_;
    const Source source_;
    const Clock::time_point begin_ = Clock::now();
    Clock::time_point due_;
    Clock::time_point next_sentence_;
    Progress progress_;
    RateMeter meter_;
    Screen::Block* block_ = nullptr;
    bool drawn_ = false, said_ = false;
    std::uint64_t turns_ = 0, pause_ = 1;
    Clock::time_point paused_at_ = begin_;
};

}  // namespace mp::trace
