/// \file
/// How far a long call is: shown on the terminal, or told to a function.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/stats.hpp>

namespace mp {

/// A call's progress at one moment.
struct Progress {
    /// The call's label, or nothing.
    std::string label{};
    /// Elements of the whole; none when nobody knows, as with a lazy range.
    std::optional<std::uint64_t> total{};
    /// Elements that ended, well or not.
    std::uint64_t done = 0;
    /// Those of them that failed for good.
    std::uint64_t failed = 0;
    /// Since the call began.
    std::chrono::nanoseconds elapsed{};
    /// Elements a second, of late.
    double rate = 0;
    /// How long it is likely to take still; none while that cannot be told.
    std::optional<std::chrono::nanoseconds> left{};
    /// The call is over: this is the last report.
    bool finished = false;
    /// Filled in when asked for, with ProgressStyle::workers and for functions.
    std::vector<WorkerStats> workers{};
};

/// How progress is shown.
enum class ProgressStyle : std::uint8_t {
    /// Nothing is shown.
    off,
    /// `[#####     ] 52 %  4.1 k/s  ETA 0:12  2 failed` on standard error, redrawn ten times a second at most; a plain
    /// line every few seconds when that is no terminal. A call of less than a fifth of a second shows nothing.
    bar,
    /// The same, and a line for each worker below.
    workers,
};

/// `.progress = true`, `.progress = mp::ProgressStyle::workers` or
/// `.progress = [](const mp::Progress& p) { … }`.
///
/// A function is called by the thread that waits for the call, ten times a second at most and once more at the end,
/// with no lock held; an exception from it ends the call's waiting, not the call's tasks, which are given up.
class ProgressOption {
  public:
    ProgressOption() = default;
    /// True: a bar.
    template <std::same_as<bool> Bool>
    ProgressOption(Bool shown)  // NOLINT(google-explicit-constructor)
        : style_(shown ? ProgressStyle::bar : ProgressStyle::off) {}
    /// That style.
    ProgressOption(ProgressStyle style) : style_(style) {}  // NOLINT(google-explicit-constructor)
    /// Tells `function` instead.
    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, ProgressOption> && std::is_invocable_v<F&, const Progress&>)
    ProgressOption(F&& function)  // NOLINT(google-explicit-constructor)
        : function_(std::make_shared<std::function<void(const Progress&)>>(std::forward<F>(function))) {}

    /// Whether anything is shown or told.
    explicit operator bool() const { return style_ != ProgressStyle::off || function_; }
    /// How it is drawn; `off` with a function.
    ProgressStyle style() const { return style_; }
    /// Null when it is to be drawn.
    const std::shared_ptr<std::function<void(const Progress&)>>& function() const { return function_; }

  private:
    ProgressStyle style_ = ProgressStyle::off;
    std::shared_ptr<std::function<void(const Progress&)>> function_;
};

}  // namespace mp
