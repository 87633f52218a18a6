// What a list of measurements says: robust against the odd round that the machine spoiled.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace bench {

struct Summary {
    double least, lower_quartile, median, upper_quartile, most;
};

/// The value below which a share of `sorted` lies, between neighbours in proportion.
inline double quantile(const std::vector<double>& sorted, double share) {
    if (sorted.empty()) throw std::invalid_argument("no measurements");
    const double position = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

inline Summary summarize(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return {quantile(values, 0), quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75),
            quantile(values, 1)};
}

}  // namespace bench
