// Durations, rates and counts as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace mp::trace {

/// `812 ns`, `0.8 µs`, `41 ms`, `3.2 s`, `12:05`, `3:00:00`.
std::string duration_text(std::chrono::nanoseconds duration);

/// What is left of a run: `0:07`, `12:05`, `3:00:00`, `2 d 03:00`. Rounded up.
std::string eta_text(double seconds);

/// `87/s`, `4.1 k/s`, `2.3 M/s`, `0.4/s`.
std::string rate_text(double a_second);

/// `1234567` as `1 234 567`.
std::string count_text(std::uint64_t count);

/// `61 %`, of a fraction; `<1 %` for what is more than nothing.
std::string percent_text(double fraction);

/// With up to `decimals` digits behind the point, without trailing zeroes, whatever the locale.
std::string number_text(double value, int decimals);

/// Columns that a terminal needs for it: UTF-8 sequences count as one.
std::size_t columns(std::string_view text);

/// Cut to at most `most` columns, with `…` where something is missing.
std::string shortened(std::string_view text, std::size_t most);

}  // namespace mp::trace
