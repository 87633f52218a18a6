// A point in time by which a wait must end, or never.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace mp::base {

class Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    static Deadline never() { return Deadline(); }
    static Deadline now() { return at(Clock::now()); }
    static Deadline at(Clock::time_point point) { return Deadline(point); }

    /// `duration` from now; negative counts as zero, and what is too long to add up as never.
    template <class Rep, class Period>
    static Deadline after(std::chrono::duration<Rep, Period> duration) {
        using Seconds = std::chrono::duration<double>;
        const auto seconds = std::chrono::duration_cast<Seconds>(duration);
        if (!(seconds > Seconds(0))) return now();
        if (seconds > Seconds(1e9)) return never();
        return at(Clock::now() + std::chrono::ceil<Clock::duration>(duration));
    }

    bool is_never() const { return !point_.has_value(); }
    bool expired() const { return point_ && Clock::now() >= *point_; }

    /// Time left, at least zero; nothing when there is no limit.
    std::optional<std::chrono::nanoseconds> left() const {
        if (!point_) return std::nullopt;
        const auto rest = *point_ - Clock::now();
        return rest > rest.zero() ? std::chrono::nanoseconds(rest) : std::chrono::nanoseconds(0);
    }

    /// For poll(2): milliseconds rounded up, -1 for never.
    int poll_timeout() const {
        const auto rest = left();
        if (!rest) return -1;
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(*rest).count();
        return ms > 1'000'000'000 ? 1'000'000'000 : static_cast<int>(ms);
    }

    /// The earlier of two.
    friend Deadline earlier(Deadline a, Deadline b) {
        if (a.is_never()) return b;
        if (b.is_never()) return a;
        return *a.point_ < *b.point_ ? a : b;
    }

    std::optional<Clock::time_point> point() const { return point_; }

  private:
    Deadline() = default;
    explicit Deadline(Clock::time_point point) : point_(point) {}

    std::optional<Clock::time_point> point_;
};

}  // namespace mp::base
