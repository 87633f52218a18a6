// A page as lines of text.
#pragma once

#include <string>
#include <vector>

#include "page.hpp"

namespace top {

enum class Style { plain, title, head, busy, idle, bad, note };

struct Line {
    Style style = Style::plain;
    std::string text;
};

/// Lines of at most `columns` columns; an explanation when there is no pool.
std::vector<Line> lines_of(const std::vector<PoolLines>& page, std::size_t columns);

/// `812 ns`, `1.5 s`, `2:03`, `-` for nothing.
std::string duration_text(std::chrono::nanoseconds duration);
/// `4.1k`, `-` for none.
std::string rate_text(std::optional<double> rate);
/// `12.4 MiB`.
std::string bytes_text(std::uint64_t bytes);

}  // namespace top
