// Plots as SVG text whose colours come from the page's style sheet.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/statistics.hpp"

namespace bench {

std::string escaped(const std::string& text);

/// One line of a dot plot: median as a dot, quartiles as a bar, extremes as a thin line, the target as a tick.
struct Dot {
    std::string label;
    Summary ratio;
    std::optional<double> target;
    std::string value;  // as text, at the end of the line
};

/// On a logarithmic axis, with a line at 1.
std::string dot_plot(const std::vector<Dot>& dots);

struct Line {
    std::string label;
    std::vector<std::pair<double, double>> points;
};

/// Both axes logarithmic.
std::string line_plot(const std::string& x_label, const std::string& y_label, const std::vector<Line>& lines);

}  // namespace bench
