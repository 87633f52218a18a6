#include "primes/report.hpp"

#include <fmt/format.h>

#include <iterator>

namespace primes {
namespace {

double busy_of_all(const Result& result) {
    double sum = 0;
    for (const auto& line : result.workers) sum += line.busy_seconds;
    return sum;
}

std::string work_of(const WorkerLine& line) {
    if (line.range.first <= line.range.last) return fmt::format("{} to {}", line.range.first, line.range.last);
    return fmt::format("{} {}", line.tasks, line.tasks == 1 ? "chunk" : "chunks");
}

}  // namespace

std::string report_text(const Result& result) {
    std::string text;
    auto out = std::back_inserter(text);
    const Job& job = result.job;
    fmt::format_to(
        out, "{}{} primes from {} to {} ({}, {}{})\n", result.partial ? "interrupted, partial count: " : "",
        result.count, job.start, job.end, name_of(job.method), result.mode,
        result.mode == "serial" ? "" : fmt::format(", {} worker{}", job.workers, job.workers == 1 ? "" : "s"));
    if (!result.workers.empty()) {
        std::size_t wide = 4;
        for (const auto& line : result.workers) wide = std::max(wide, work_of(line).size());
        fmt::format_to(out, "\nworker      pid  {:>{}}      primes        busy   share\n", "work", wide);
        const double all = busy_of_all(result);
        int number = 0;
        for (const auto& line : result.workers)
            fmt::format_to(out, "{:6} {:8}  {:>{}}  {:10}  {:8.3f} s  {:4.1f} %\n", ++number, line.pid, work_of(line),
                           wide, line.count, line.busy_seconds, all > 0 ? 100 * line.busy_seconds / all : 0.0);
    }
    fmt::format_to(out, "\nwall time {:.3f} s\n", result.seconds);
    for (const auto& event : result.events) fmt::format_to(out, "{}\n", event);
    return text;
}

std::string comparison_text(const std::vector<Result>& results) {
    std::string text;
    auto out = std::back_inserter(text);
    if (results.empty()) return text;
    const Result& serial = results.front();
    fmt::format_to(out, "primes from {} to {} ({})\n\n", serial.job.start, serial.job.end, name_of(serial.job.method));
    fmt::format_to(out, "mode     workers        time  speed-up  efficiency      primes  of each worker\n");
    for (const Result& result : results) {
        const double speed_up = result.seconds > 0 ? serial.seconds / result.seconds : 0;
        std::string each;
        for (const auto& line : result.workers) fmt::format_to(std::back_inserter(each), " {}", line.count);
        fmt::format_to(out, "{:<8} {:7}  {:8.3f} s  {:7.2f}x  {:8.1f} %  {:10} {}{}\n", result.mode, result.job.workers,
                       result.seconds, speed_up, 100 * speed_up / result.job.workers, result.count, each,
                       result.partial ? " (interrupted)" : "");
    }
    for (const Result& result : results)
        for (const auto& event : result.events) fmt::format_to(out, "{}: {}\n", result.mode, event);
    return text;
}

}  // namespace primes
