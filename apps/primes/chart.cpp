#include "primes/chart.hpp"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>

namespace primes {
namespace {

std::string bar(double length, bool blocks) {
    std::string text;
    const auto eighths = static_cast<unsigned>(std::lround(length * 8));
    if (!blocks) return std::string(static_cast<std::size_t>(std::lround(length)), '#');
    static constexpr std::array<std::string_view, 8> partial{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    for (unsigned i = 0; i < eighths / 8; ++i) text += "█";
    text += partial[eighths % 8];
    return text;
}

}  // namespace

std::string chart_text(const Result& result, unsigned columns, bool blocks) {
    const Job& job = result.job;
    const std::uint64_t most = std::max<std::uint64_t>(1, *std::max_element(result.parts.begin(), result.parts.end()));
    const std::size_t number = fmt::formatted_size("{}", job.end), count = fmt::formatted_size("{}", most);
    // "first - last  count  12.34 %  bar"
    const std::size_t taken = 2 * number + 3 + 2 + std::max<std::size_t>(count, 6) + 2 + 8 + 2;
    const std::size_t room = std::max<std::size_t>(columns > taken ? columns - taken : 0, 10);

    std::string text;
    auto out = std::back_inserter(text);
    fmt::format_to(out, "{:>{}}  {:>{}}  {:>8}\n", "range", 2 * number + 3, "primes", std::max<std::size_t>(count, 6),
                   "share");
    for (std::uint32_t i = 0; i < job.parts; ++i) {
        const auto part = even_part(job.start, job.end, job.parts, i);
        if (!part) break;
        const std::uint64_t primes = result.parts[i];
        const double width = static_cast<double>(part->last - part->first) + 1;
        fmt::format_to(
            out, "{:>{}} - {:>{}}  {:>{}}  {:6.2f} %  {}\n", part->first, number, part->last, number, primes,
            std::max<std::size_t>(count, 6), 100 * static_cast<double>(primes) / width,
            bar(static_cast<double>(primes) / static_cast<double>(most) * static_cast<double>(room), blocks));
    }
    return text;
}

bool locale_is_utf8() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const char* value = std::getenv(name);
        if (!value || !*value) continue;
        const char* dot = std::strchr(value, '.');
        return dot && (::strncasecmp(dot + 1, "utf-8", 5) == 0 || ::strncasecmp(dot + 1, "utf8", 4) == 0);
    }
    return false;
}

}  // namespace primes
