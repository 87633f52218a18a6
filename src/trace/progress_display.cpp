#include "trace/progress_display.hpp"

#include <algorithm>

namespace mp::trace {
namespace {

using namespace std::chrono_literals;

constexpr auto redraw_interval = 100ms;
constexpr auto sentence_interval = 5s;
constexpr auto shown_after = 200ms;  // what is over by then needs no display

}  // namespace

ProgressDisplay::ProgressDisplay(const ProgressOption& option, std::string label, std::optional<std::uint64_t> total,
                                 Source source)
    : option_(option),
      source_(std::move(source)),
      due_(begin_ + (option.function() ? redraw_interval : shown_after)),
      next_sentence_(begin_ + sentence_interval) {
    progress_.label = std::move(label);
    progress_.total = total;
}

ProgressDisplay::~ProgressDisplay() {
    if (block_) Screen::standard_error().remove(block_, false);
}

void ProgressDisplay::tick() {
    const auto now = Clock::now();
    if (now >= due_) report(now, false);
}

void ProgressDisplay::tick_after_pause() {
    turns_ = 0;
    const auto now = Clock::now();
    // About a millisecond between two looks.
    const auto since = now - paused_at_;
    if (since < 500us)
        pause_ = std::min<std::uint64_t>(pause_ * 2, 1 << 20);
    else if (since > 2ms)
        pause_ = std::max<std::uint64_t>(1, pause_ / 4);
    paused_at_ = now;
    if (now >= due_) report(now, false);
}

void ProgressDisplay::finish() { report(Clock::now(), true); }

void ProgressDisplay::report(Clock::time_point now, bool finished) {
    const ProgressCounts counts = source_.counts();
    const std::chrono::duration<double> seconds = now - begin_;
    progress_.elapsed = now - begin_;
    // What is claimed looks done until the claim is written down: it does not go back for that.
    progress_.done = std::max(progress_.done, counts.done);
    progress_.failed = counts.failed;
    progress_.finished = finished;
    meter_.look(static_cast<double>(progress_.done), seconds.count());
    progress_.rate =
        finished && seconds.count() > 0 ? static_cast<double>(progress_.done) / seconds.count() : meter_.a_second();
    progress_.left.reset();
    if (progress_.total && progress_.done <= *progress_.total && progress_.rate > 0) {
        const double left = static_cast<double>(*progress_.total - progress_.done) / progress_.rate;
        if (left < 1e9) progress_.left = std::chrono::nanoseconds(static_cast<std::int64_t>(left * 1e9));
    }
    due_ = now + redraw_interval;
    if (option_.function() || option_.style() == ProgressStyle::workers) progress_.workers = source_.workers();
    if (option_.function()) {
        (*option_.function())(progress_);
        return;
    }
    if (const Terminal screen = terminal(); screen.can_redraw) {
        if (finished && !drawn_) return;
        if (!block_) block_ = Screen::standard_error().add();
        const std::size_t columns = std::max<std::size_t>(screen.columns, 2) - 1;  // the last column would wrap
        const bool workers = option_.style() == ProgressStyle::workers && !finished;
        Screen::standard_error().show(
            block_, progress_lines(progress_, columns, workers ? std::max<std::size_t>(screen.lines / 2, 2) : 1));
        drawn_ = true;
        if (finished) {
            Screen::standard_error().remove(block_, true);
            block_ = nullptr;
        }
        return;
    }
    if (finished ? said_ : now >= next_sentence_) {
        said_ = true;
        next_sentence_ = now + sentence_interval;
        const std::string line = progress_sentence(progress_) + '\n';
        Screen::standard_error().write_line(line);
    }
}

}  // namespace mp::trace
