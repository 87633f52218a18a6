// Recordings of runs that never were, to write files from.
#pragma once

#include <random>
#include <string>

#include "trace/recorder.hpp"
#include "trace/writers.hpp"

namespace mp::test {

/// `tasks` of about `mean` nanoseconds by `workers`; now and then one fails, and one crashes its worker in the middle.
inline trace::Recording sample_recording(std::size_t tasks, std::size_t workers, double mean, bool trouble = true,
                                         std::size_t most_spans = trace::Recorder::usual_spans) {
    trace::Recorder recorder(most_spans);
    std::mt19937_64 random(tasks);
    std::lognormal_distribution<double> length(0, 0.7);
    PoolStats stats;
    stats.name = "parse";
    stats.cpus = 2;
    stats.workers.resize(workers);
    const std::uint64_t begin = trace::now();
    std::vector<std::uint64_t> free(workers, begin);
    const std::size_t pool = recorder.add_pool("parse", 4711, workers, {}, {});
    for (std::size_t w = 0; w < workers; ++w) {
        stats.workers[w].number = static_cast<int>(w + 1);
        stats.workers[w].pid = static_cast<pid_t>(4712 + w);
        stats.workers[w].state = WorkerState::waiting;
        const auto start = static_cast<std::uint64_t>(mean * (0.4 + 0.1 * static_cast<double>(w)));
        recorder.mark(pool, w, {free[w], trace::MarkKind::started, "process " + std::to_string(4712 + w)});
        free[w] += start;
        recorder.mark(pool, w, {free[w], trace::MarkKind::ready, {}});
        stats.workers[w].start = std::chrono::nanoseconds(start);
    }
    const std::size_t crash_at = trouble ? tasks / 2 : tasks;
    for (std::size_t i = 0; i < tasks; ++i) {
        const auto w = static_cast<std::size_t>(std::ranges::min_element(free) - free.begin());
        const auto took = static_cast<std::uint64_t>(mean * length(random) * (i == tasks / 3 ? 5 : 1));
        trace::Span span;
        span.begin = free[w] + static_cast<std::uint64_t>(mean * 0.03);
        span.end = span.begin + took;
        span.busy = took;
        span.element = i;
        span.label = i % 7 == 3 ? 2 : 1;
        span.crashed = i == crash_at;
        span.failed = trouble && (i == crash_at || i % std::max<std::size_t>(5, tasks / 3) == 4) ? 1 : 0;
        recorder.span(pool, w, span);
        auto& worker = stats.workers[w];
        worker.waiting += std::chrono::nanoseconds(span.begin - free[w]);
        worker.working += std::chrono::nanoseconds(took);
        ++worker.tasks;
        worker.failed += span.failed;
        stats.times.add(std::chrono::nanoseconds(took));
        stats.slowest.push_back({span.label == 1 ? "parse" : "parse_attachment", i, 1, std::chrono::nanoseconds(took),
                                 std::chrono::nanoseconds(span.begin - begin), static_cast<int>(w + 1)});
        std::ranges::stable_sort(stats.slowest, std::greater(), &TaskTime::duration);
        if (stats.slowest.size() > 8) stats.slowest.pop_back();
        free[w] = span.end;
        if (span.crashed) {
            recorder.mark(
                pool, w,
                {span.end, trace::MarkKind::crashed, "parse(#" + std::to_string(i) + "): killed by SIGSEGV at 0x10"});
            recorder.mark(
                pool, w, {span.end + static_cast<std::uint64_t>(mean * 0.1), trace::MarkKind::started, "process 4799"});
            recorder.mark(pool, w,
                          {span.end, trace::MarkKind::retried, "parse(#" + std::to_string(i) + "), attempt 2"});
            free[w] += static_cast<std::uint64_t>(mean * 0.6);
            recorder.mark(pool, w, {free[w], trace::MarkKind::ready, {}});
            ++stats.crashes;
            ++stats.retried;
            ++worker.restarts;
        }
    }
    const std::uint64_t end = *std::ranges::max_element(free);
    for (std::size_t w = 0; w < workers; ++w) stats.workers[w].waiting += std::chrono::nanoseconds(end - free[w]);
    stats.elapsed = std::chrono::nanoseconds(end - begin);
    stats.elements = tasks;
    stats.advice = advise(stats);
    recorder.finish_pool(pool, {"(others)", "parse", "parse_attachment"}, stats);
    trace::Recording recording = recorder.take();
    recording.end = end;
    recording.program = "./parse documents/*.pdf";
    return recording;
}

}  // namespace mp::test
