#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace top {
namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

// UTF-8 sequences count as one column.
std::string cut(const std::string& text, std::size_t columns) {
    std::size_t end = 0, width = 0;
    while (end < text.size()) {
        if (starts_character(text[end]) && width++ == columns) break;
        ++end;
    }
    return text.substr(0, end);
}

std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

std::string padded(const std::string& text, std::size_t columns) {
    const std::size_t width = width_of(text);
    return width < columns ? std::string(columns - width, ' ') + text : text;
}

// The first parts, whole, that have room beside each other; empty ones are left out.
std::string as_fits(const std::vector<std::string>& parts, std::size_t columns) {
    std::string line;
    for (const std::string& part : parts) {
        if (part.empty()) continue;
        const std::string longer = line.empty() ? part : line + "  " + part;
        if (width_of(longer) > columns) break;
        line = longer;
    }
    return line;
}

std::string counted(const char* what, std::uint64_t number) {
    return number > 0 ? fmt::format("{} {}", what, number) : "";
}

Line worker_line(const WorkerLine& line, std::size_t columns) {
    const auto& stats = line.stats;
    const std::string begin = fmt::format(
        "{:>6}  {:>7}  {:<12}  {}  {:>9}  {}  {}  {}  ", stats.number, stats.pid ? std::to_string(stats.pid) : "-",
        to_string(stats.state), padded(line.cpu ? fmt::format("{:.0f}%", 100 * *line.cpu) : "-", 5),
        bytes_text(line.resident), padded(rate_text(line.rate), 7), padded(std::to_string(stats.tasks), 11),
        padded(duration_text(stats.task_time), 7));
    const Style style = stats.state == mp::WorkerState::working ? Style::busy
                        : stats.state == mp::WorkerState::gone  ? Style::bad
                                                                : Style::idle;
    return {style, cut(begin + stats.task, columns)};
}

}  // namespace

std::string duration_text(std::chrono::nanoseconds duration) {
    const auto ns = static_cast<double>(duration.count());
    if (ns <= 0) return "-";
    if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
    if (ns < 1e6) return fmt::format("{:.0f} µs", ns / 1e3);
    if (ns < 1e9) return fmt::format("{:.0f} ms", ns / 1e6);
    if (ns < 60e9) return fmt::format("{:.1f} s", ns / 1e9);
    const auto seconds = static_cast<long long>(ns / 1e9);
    if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
    return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string rate_text(std::optional<double> rate) {
    if (!rate) return "-";
    if (*rate < 999.5) return fmt::format("{:.{}f}/s", *rate, *rate < 9.95 && *rate > 0 ? 1 : 0);
    if (*rate < 999'500) return fmt::format("{:.1f}k/s", *rate / 1e3);
    return fmt::format("{:.1f}M/s", *rate / 1e6);
}

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1000 && unit + 1 < units.size(); ++unit) value /= 1024;
    return fmt::format("{:.{}f} {}", value, value < 10 && unit > 0 ? 1 : 0, units[unit]);
}

std::vector<Line> lines_of(const std::vector<PoolLines>& page, std::size_t columns) {
    std::vector<Line> lines;
    if (page.empty()) {
        lines.push_back({Style::note, cut("no pool is running that you may look at", columns)});
        return lines;
    }
    for (const PoolLines& pool : page) {
        if (!lines.empty()) lines.push_back({});
        const auto& stats = pool.stats;
        std::size_t busy = 0;
        for (const auto& worker : stats.workers) busy += worker.state == mp::WorkerState::working;
        lines.push_back(
            {Style::title, cut(fmt::format("{}  pool \"{}\"  {}", pool.pid, stats.name, pool.program), columns)});
        lines.push_back({stats.crashes > 0 ? Style::bad : Style::plain,
                         as_fits({fmt::format("up {}", duration_text(stats.elapsed)),
                                  fmt::format("{} of {} workers busy", busy, stats.workers.size()),
                                  fmt::format("{} tasks", stats.tasks()), rate_text(pool.rate),
                                  counted("failed", stats.failed()), counted("crashes", stats.crashes),
                                  fmt::format("waiting {}", stats.waiting), fmt::format("handed out {}", stats.assigned),
                                  counted("retried", stats.retried)},
                                 columns)});
        lines.push_back(
            {Style::head,
             cut("worker      pid  state           cpu     memory     rate        tasks     for  task", columns)});
        for (const WorkerLine& worker : pool.workers) lines.push_back(worker_line(worker, columns));
        for (const auto& sentence : stats.advice) lines.push_back({Style::note, cut("  " + sentence, columns)});
    }
    return lines;
}

}  // namespace top
