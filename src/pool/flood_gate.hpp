// Holds back a process that prints without end, and counts what is dropped. Pure: the time comes in.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <multiprocessing/pool_options.hpp>

namespace mp::pool {

class FloodGate {
  public:
    using Clock = std::chrono::steady_clock;

    explicit FloodGate(const OutputLimit& limit) : limit_(limit) {}

    /// Whether this line is let through. A second begins with the first line after the one before was over.
    bool pass(std::string_view line, Clock::time_point now) {
        if (now - second_ >= std::chrono::seconds(1)) {
            second_ = now;
            lines_ = repeats_ = 0;
        }
        const auto hash = std::hash<std::string_view>()(line);
        repeats_ = hash == last_ ? repeats_ + 1 : 0;
        last_ = hash;
        ++lines_;
        const bool good = within(lines_, limit_.lines_per_second) && within(repeats_, limit_.repeats_per_second);
        if (!good) ++dropped_;
        return good;
    }

    /// To be printed instead of what was dropped, without newline, once it is time to say so: with the first line let
    /// through after some were not, or at the `end`.
    std::optional<std::string> report() {
        if (dropped_ == 0) return std::nullopt;
        std::string text = std::to_string(dropped_) + (dropped_ == 1 ? " line" : " lines") + " dropped: too many in a second";
        dropped_ = 0;
        return text;
    }

  private:
    static bool within(std::uint64_t count, const std::optional<std::uint64_t>& limit) { return !limit || count <= *limit; }

    OutputLimit limit_;
    Clock::time_point second_{};
    std::uint64_t lines_ = 0;
    std::uint64_t repeats_ = 0;  // of the line before
    std::size_t last_ = 0;
    std::uint64_t dropped_ = 0;
};

}  // namespace mp::pool
