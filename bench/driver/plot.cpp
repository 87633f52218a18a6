#include "driver/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace bench {

namespace {

/// Values to places, logarithmic.
class Axis {
  public:
    Axis(double least, double most, double begin, double end)
        : least_(std::log10(least)), most_(std::log10(most)), begin_(begin), end_(end) {}
    double at(double value) const { return begin_ + (std::log10(value) - least_) / (most_ - least_) * (end_ - begin_); }
    /// 1, 2 and 5 times the powers of ten while these are few, else the powers alone.
    std::vector<double> ticks() const {
        std::vector<double> list;
        for (int power = static_cast<int>(std::floor(least_)); power <= static_cast<int>(std::ceil(most_)); ++power)
            for (const double digit : {1.0, 2.0, 5.0}) {
                if (digit != 1 && most_ - least_ > 3) continue;
                const double value = digit * std::pow(10, power);
                if (std::log10(value) >= least_ - 1e-9 && std::log10(value) <= most_ + 1e-9) list.push_back(value);
            }
        return list;
    }

  private:
    double least_, most_, begin_, end_;
};

constexpr double line_height = 22, label_width = 520, width = 1140, value_width = 190;

}  // namespace

std::string escaped(const std::string& text) {
    std::string out;
    for (const char letter : text) switch (letter) {
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '&':
                out += "&amp;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += letter;
        }
    return out;
}

std::string dot_plot(const std::vector<Dot>& dots) {
    double least = 0.7, most = 1.4;
    for (const auto& dot : dots) {
        least = std::min({least, dot.ratio.least, dot.target.value_or(1)});
        most = std::max({most, dot.ratio.most, dot.target.value_or(1)});
    }
    const Axis axis(least / 1.05, most * 1.05, label_width, width - value_width);
    const double height = line_height * static_cast<double>(dots.size()) + 34;
    std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img'>\n", width, height);
    for (const double tick : axis.ticks())
        svg += fmt::format(
            "<line class='{}' x1='{:.1f}' x2='{:.1f}' y1='4' y2='{:.1f}'/>"
            "<text class='tick' x='{:.1f}' y='{:.1f}' text-anchor='middle'>{:g}</text>\n",
            tick == 1 ? "one" : "grid", axis.at(tick), axis.at(tick), height - 28, axis.at(tick), height - 12, tick);
    double y = 4 + line_height / 2;
    for (const auto& dot : dots) {
        const bool missed = dot.target && dot.ratio.median < *dot.target;
        const char* const kind = missed ? "missed" : "fine";
        svg += fmt::format("<text class='label' x='{}' y='{:.1f}' text-anchor='end'>{}</text>", label_width - 10, y + 4,
                           escaped(dot.label));
        svg += fmt::format("<line class='spread {}' x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}'/>", kind,
                           axis.at(dot.ratio.least), axis.at(dot.ratio.most), y, y);
        svg += fmt::format("<line class='quartiles {}' x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}'/>", kind,
                           axis.at(dot.ratio.lower_quartile), axis.at(dot.ratio.upper_quartile), y, y);
        if (dot.target)
            svg += fmt::format("<line class='target' x1='{0:.1f}' x2='{0:.1f}' y1='{1:.1f}' y2='{2:.1f}'/>",
                               axis.at(*dot.target), y - 8, y + 8);
        svg += fmt::format("<circle class='{}' cx='{:.1f}' cy='{:.1f}' r='4.5'/>", kind, axis.at(dot.ratio.median), y);
        svg += fmt::format("<text class='value' x='{}' y='{:.1f}'>{}</text>\n", width - value_width + 12, y + 4,
                           escaped(dot.value));
        y += line_height;
    }
    return svg + "</svg>\n";
}

std::string line_plot(const std::string& x_label, const std::string& y_label, const std::vector<Line>& lines) {
    constexpr double plot_width = 720, plot_height = 300, left = 70, right = 560, top = 12, bottom = 250;
    double x_least = 1e300, x_most = 0, y_least = 1e300, y_most = 0;
    for (const auto& line : lines)
        for (const auto& [x, y] : line.points) {
            x_least = std::min(x_least, x);
            x_most = std::max(x_most, x);
            y_least = std::min(y_least, y);
            y_most = std::max(y_most, y);
        }
    if (x_most <= x_least) x_most = 10 * x_least;
    const Axis across(x_least, x_most, left, right), up(y_least / 1.5, y_most * 1.5, bottom, top);
    std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img'>\n", plot_width, plot_height);
    for (const double tick : across.ticks())
        svg += fmt::format(
            "<line class='grid' x1='{0:.1f}' x2='{0:.1f}' y1='{1}' y2='{2}'/>"
            "<text class='tick' x='{0:.1f}' y='{3}' text-anchor='middle'>{4:g}</text>\n",
            across.at(tick), top, bottom, bottom + 16, tick);
    for (const double tick : up.ticks())
        svg += fmt::format(
            "<line class='grid' x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}'/>"
            "<text class='tick' x='{3}' y='{4:.1f}' text-anchor='end'>{5:g}</text>\n",
            left, right, up.at(tick), left - 6, up.at(tick) + 4, tick);
    svg += fmt::format("<text class='tick' x='{}' y='{}' text-anchor='middle'>{}</text>\n", (left + right) / 2,
                       bottom + 36, escaped(x_label));
    svg += fmt::format("<text class='tick' transform='translate(14 {}) rotate(-90)' text-anchor='middle'>{}</text>\n",
                       (top + bottom) / 2, escaped(y_label));
    constexpr std::array dashes{"none", "7 4", "2 4", "10 3 2 3", "4 2"};
    std::size_t number = 0;
    std::vector<std::pair<double, std::string>> labels;
    for (const auto& line : lines) {
        if (line.points.empty()) continue;
        std::string points;
        for (const auto& [x, y] : line.points) points += fmt::format("{:.1f},{:.1f} ", across.at(x), up.at(y));
        const auto colour = number % dashes.size();
        svg += fmt::format("<polyline class='line{}' stroke-dasharray='{}' points='{}'/>\n", colour, dashes[colour],
                           points);
        for (const auto& [x, y] : line.points)
            svg +=
                fmt::format("<circle class='line{}' cx='{:.1f}' cy='{:.1f}' r='2.5'/>", colour, across.at(x), up.at(y));
        labels.emplace_back(up.at(line.points.back().second) + 4, escaped(line.label));
        ++number;
    }
    // Beside the ends of the lines, or as near as leaves them readable.
    std::sort(labels.begin(), labels.end());
    double least = 0;
    for (const auto& [place, label] : labels) {
        least = std::max(place, least + 14);
        svg += fmt::format("<text class='label' x='{}' y='{:.1f}'>{}</text>\n", right + 8, least, label);
    }
    return svg + "</svg>\n";
}

}  // namespace bench
