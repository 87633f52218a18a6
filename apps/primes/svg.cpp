#include "primes/svg.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "primes/number.hpp"

namespace primes {
namespace {

constexpr double width = 960, height = 480;
constexpr double left = 84, right = 24, top = 56, bottom = 64;
constexpr double plot_width = width - left - right, plot_height = height - top - bottom;

/// 1, 2 or 5 times a power of ten, so that about five steps reach `most`; never below 1.
double nice_step(double most) {
    const double rough = std::max(1.0, most / 5), power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= rough) return factor * power;
    return 10 * power;
}

std::string short_number(double value) {
    return value < 1e7 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

template <class Out>
void draw_count_axis(Out out, double most, double step) {
    for (double value = 0; value <= most; value += step) {
        const double y = top + plot_height * (1 - value / most);
        fmt::format_to(out, "<line class=\"grid\" x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" y2=\"{:.1f}\"/>\n", left, y,
                       width - right, y);
        fmt::format_to(out, "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 8, y + 4,
                       short_number(value));
    }
}

template <class Out>
void draw_range_axis(Out out, const Job& job) {
    const double length = static_cast<double>(job.end - job.start) + 1;
    for (int i = 0; i <= 4; ++i) {
        const double x = left + plot_width * i / 4;
        // What doubles cannot add up near 2^64 the bounds themselves say.
        const double value = i == 4 ? static_cast<double>(job.end) : static_cast<double>(job.start) + length * i / 4;
        fmt::format_to(out, "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n", x, height - bottom + 20,
                       i == 0   ? "start"
                       : i == 4 ? "end"
                                : "middle",
                       short_number(value));
    }
}

}  // namespace

std::string svg_text(const Result& result) {
    const Job& job = result.job;
    const auto highest = static_cast<double>(*std::max_element(result.parts.begin(), result.parts.end()));
    const double step = nice_step(highest), most = std::max(1.0, std::ceil(highest / step)) * step;
    const double slot = plot_width / job.parts, gap = slot > 4 ? slot * 0.15 : 0;

    std::string text;
    auto out = std::back_inserter(text);
    fmt::format_to(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n"
                   "<style>text{{font:13px sans-serif;fill:#333}}.title{{font-size:18px}}"
                   ".grid{{stroke:#ddd}}.axis{{stroke:#333}}.bar{{fill:#3b6ea5}}</style>\n"
                   "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
                   width, height);
    fmt::format_to(out, "<text class=\"title\" x=\"{}\" y=\"30\">{} primes from {} to {}, in {} equal part{}</text>\n",
                   left, result.count, job.start, job.end, job.parts, job.parts == 1 ? "" : "s");
    draw_count_axis(out, most, step);
    for (std::uint32_t i = 0; i < job.parts; ++i) {
        const auto part = even_part(job.start, job.end, job.parts, i);
        if (!part) break;
        const double tall = plot_height * static_cast<double>(result.parts[i]) / most;
        fmt::format_to(out,
                       "<rect class=\"bar\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\">"
                       "<title>{} to {}: {} primes</title></rect>\n",
                       left + slot * i + gap / 2, top + plot_height - tall, slot - gap, tall, part->first, part->last,
                       result.parts[i]);
    }
    fmt::format_to(out, "<line class=\"axis\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n", left, height - bottom,
                   width - right, height - bottom);
    draw_range_axis(out, job);
    fmt::format_to(out, "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">number</text>\n", left + plot_width / 2,
                   height - 18);
    fmt::format_to(out, "<text transform=\"translate(20 {:.1f}) rotate(-90)\" text-anchor=\"middle\">primes</text>\n",
                   top + plot_height / 2);
    text += "</svg>\n";
    return text;
}

void check_writable(const std::string& path) {
    namespace fs = std::filesystem;
    const auto refuse = [&](int error) {
        throw BadInput(fmt::format("cannot write {}: {}", path, std::strerror(error)));
    };
    if (fs::is_directory(path)) refuse(EISDIR);
    const std::string parent = fs::path(path).has_parent_path() ? fs::path(path).parent_path().string() : ".";
    if (::access(parent.c_str(), W_OK | X_OK) != 0) refuse(errno);
    if (!fs::is_directory(parent)) refuse(ENOTDIR);
}

void write_file(const std::string& path, const std::string& text) {
    if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path)) {  // a pipe, /dev/stdout
        std::ofstream(path, std::ios::binary) << text;
        return;
    }
    const std::string fresh = fmt::format("{}.{}.tmp", path, ::getpid());
    std::ofstream file(fresh, std::ios::binary);
    file << text;
    file.close();
    if (!file || std::rename(fresh.c_str(), path.c_str()) != 0) {
        const int error = errno;
        std::remove(fresh.c_str());
        throw std::system_error(error, std::system_category(), "cannot write " + path);
    }
}

}  // namespace primes
