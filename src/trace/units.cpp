#include "trace/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace mp::trace {
namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

std::string two_digits(long long value) { return (value < 10 ? "0" : "") + std::to_string(value); }

std::string clock_text(long long seconds) {
    const auto days = seconds / 86400, hours = seconds / 3600 % 24, minutes = seconds / 60 % 60, rest = seconds % 60;
    if (days > 0) return std::to_string(days) + " d " + two_digits(hours) + ':' + two_digits(minutes);
    if (hours > 0) return std::to_string(hours) + ':' + two_digits(minutes) + ':' + two_digits(rest);
    return std::to_string(minutes) + ':' + two_digits(rest);
}

// Two digits are enough to compare by.
std::string two_figures(double value) { return number_text(value, value < 10 ? 1 : 0); }

}  // namespace

std::string number_text(double value, int decimals) {
    std::array<char, 64> buffer;
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, decimals);
    if (end.ec != std::errc()) return "?";
    std::string text(buffer.data(), end.ptr);
    if (text.find('.') != std::string::npos) {
        text.erase(text.find_last_not_of('0') + 1);
        if (text.back() == '.') text.pop_back();
    }
    return text == "-0" ? "0" : text;
}

std::string duration_text(std::chrono::nanoseconds duration) {
    const auto ns = static_cast<double>(duration.count());
    if (ns < 100) return number_text(ns, 0) + " ns";
    if (ns < 99'500) return two_figures(ns / 1e3) + " µs";
    if (ns < 999'500) return number_text(ns / 1e3, 0) + " µs";
    if (ns < 999.5e6) return two_figures(ns / 1e6) + " ms";
    if (ns < 99.5e9) return two_figures(ns / 1e9) + " s";
    return clock_text(static_cast<long long>(ns / 1e9 + 0.5));
}

std::string eta_text(double seconds) {
    if (!(seconds < 100 * 365.0 * 86400)) return "for ever";
    return clock_text(static_cast<long long>(std::ceil(std::max(0.0, seconds))));
}

std::string rate_text(double a_second) {
    constexpr std::array<const char*, 5> units{"/s", " k/s", " M/s", " G/s", " T/s"};
    std::size_t unit = 0;
    while (a_second >= 999.5 && unit + 1 < units.size()) {
        a_second /= 1000;
        ++unit;
    }
    return two_figures(a_second) + units[unit];
}

std::string count_text(std::uint64_t count) {
    std::string text = std::to_string(count);
    for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
        text.insert(static_cast<std::size_t>(at), " ");
    return text;
}

std::string percent_text(double fraction) {
    if (fraction > 0 && fraction < 0.005) return "<1 %";
    return number_text(fraction * 100, 0) + " %";
}

std::size_t columns(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

std::string shortened(std::string_view text, std::size_t most) {
    if (columns(text) <= most) return std::string(text);
    if (most == 0) return {};
    std::size_t end = 0, left = most;  // one of them for the ellipsis
    while (end < text.size() && (!starts_character(text[end]) || left-- > 1)) ++end;
    return std::string(text.substr(0, end)) + "…";
}

}  // namespace mp::trace
