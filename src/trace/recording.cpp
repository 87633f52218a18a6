#include "trace/recording.hpp"

#include <algorithm>

namespace mp::trace {

const char* to_string(MarkKind kind) {
    switch (kind) {
        case MarkKind::started:
            return "started";
        case MarkKind::ready:
            return "ready";
        case MarkKind::ended:
            return "ended";
        case MarkKind::crashed:
            return "crashed";
        case MarkKind::retried:
            return "retried";
        case MarkKind::timed_out:
            return "timed out";
        case MarkKind::failed:
            return "failed";
    }
    return "unknown";
}

const std::string& Recording::label(const PoolRecording& pool, const Span& span) const {
    static const std::string unknown = "task";
    return span.label < pool.labels.size() ? pool.labels[span.label] : unknown;
}

void join_short(std::vector<Span>& spans, std::uint64_t shortest, bool failed_too) {
    const auto joinable = [&](const Span& span) {
        return !span.crashed && (failed_too || span.failed == 0) && (span.joined || span.end - span.begin < shortest);
    };
    std::size_t kept = 0;
    for (std::size_t i = 0; i < spans.size(); ++i) {
        if (kept > 0) {
            Span& last = spans[kept - 1];
            const Span& next = spans[i];
            const std::uint64_t gap = next.begin > last.end ? next.begin - last.end : 0;
            if (joinable(last) && joinable(next) && gap < shortest) {
                last.end = std::max(last.end, next.end);
                last.busy += next.busy;
                last.count += next.count;
                last.failed += next.failed;
                last.joined = true;
                last.mixed |= next.mixed || next.label != last.label;
                continue;
            }
        }
        spans[kept++] = spans[i];
    }
    spans.resize(kept);
}

PoolStats difference(const PoolStats& after, const PoolStats& before) {
    PoolStats result = after;
    const auto less = [](auto& value, auto by) { value = value > by ? value - by : decltype(value - by){}; };
    less(result.elapsed, before.elapsed);
    less(result.submitted, before.submitted);
    less(result.elements, before.elements);
    less(result.retried, before.retried);
    less(result.crashes, before.crashes);
    less(result.timeouts, before.timeouts);
    less(result.memory_pauses, before.memory_pauses);
    for (std::size_t i = 0; i < std::min(result.workers.size(), before.workers.size()); ++i) {
        WorkerStats& worker = result.workers[i];
        const WorkerStats& old = before.workers[i];
        less(worker.restarts, old.restarts);
        less(worker.tasks, old.tasks);
        less(worker.failed, old.failed);
        less(worker.start, old.start);
        less(worker.init, old.init);
        less(worker.waiting, old.waiting);
        less(worker.working, old.working);
        less(worker.sending, old.sending);
    }
    DurationHistogram times;
    for (std::size_t bucket = 0; bucket < DurationHistogram::buckets; ++bucket) {
        std::uint64_t count = after.times[bucket];
        less(count, before.times[bucket]);
        if (count > 0) times.add_to_bucket(bucket, count);
    }
    result.times = times;
    std::erase_if(result.slowest, [&](const TaskTime& task) { return task.begin + task.duration < before.elapsed; });
    for (TaskTime& task : result.slowest) less(task.begin, before.elapsed);
    result.advice = advise(result);
    return result;
}

}  // namespace mp::trace
