#include <multiprocessing/stats.hpp>

#include <algorithm>
#include <ostream>
#include <utility>

#include "trace/units.hpp"

namespace mp {
namespace {

using std::chrono::nanoseconds;

double part(nanoseconds of, nanoseconds whole) {
    return whole.count() > 0 ? static_cast<double>(of.count()) / static_cast<double>(whole.count()) : 0;
}

nanoseconds life(const WorkerStats& worker) { return worker.waiting + worker.working + worker.sending; }

using Row = std::vector<std::string>;

// The first column to the left, the others to the right.
void print_table(std::ostream& out, const std::vector<Row>& rows) {
    std::vector<std::size_t> widths(rows.front().size());
    for (const Row& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], trace::columns(row[i]));
    for (const Row& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string space(widths[i] - trace::columns(row[i]), ' ');
            if (i > 0) out << "  ";
            out << (i == 0 ? row[i] + space : space + row[i]);
        }
        out << '\n';
    }
}

// One phrase, or one for each limiter where workers differ.
void print_limiters(std::ostream& out, const PoolStats& stats) {
    std::vector<std::pair<MemoryLimiter, std::string>> kinds;
    for (const auto limiter : {MemoryLimiter::control_group, MemoryLimiter::data_limit, MemoryLimiter::none}) {
        std::string who;
        for (const auto& worker : stats.workers)
            if (worker.memory_limiter == limiter) who += (who.empty() ? "worker " : ", ") + std::to_string(worker.number);
        if (!who.empty()) kinds.emplace_back(limiter, std::move(who));
    }
    if (kinds.size() == 1) out << ", each worker's memory limited by " << to_string(kinds.front().first);
    if (kinds.size() < 2) return;
    for (const auto& [limiter, who] : kinds) out << ", memory of " << who << " limited by " << to_string(limiter);
}

}  // namespace

nanoseconds DurationHistogram::percentile(double fraction) const {
    if (total_ == 0) return nanoseconds(0);
    const double wanted = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(total_);
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    for (; bucket + 1 < buckets; ++bucket) {
        seen += counts_[bucket];
        if (seen > 0 && static_cast<double>(seen) >= wanted) break;
    }
    const auto low = lower_bound(bucket), width = lower_bound(bucket + 1) - low;
    return nanoseconds(low + (width > 1 ? width / 2 : 0));
}

double WorkerStats::utilisation() const { return std::min(1.0, part(working, life(*this))); }

std::string TaskTime::name() const {
    if (!element) return label;
    std::string text = label + "(#" + std::to_string(*element);
    if (count > 1) text += " to #" + std::to_string(*element + count - 1);
    return text + ")";
}

std::uint64_t PoolStats::tasks() const {
    std::uint64_t sum = 0;
    for (const auto& worker : workers) sum += worker.tasks;
    return sum;
}

std::uint64_t PoolStats::failed() const {
    std::uint64_t sum = 0;
    for (const auto& worker : workers) sum += worker.failed;
    return sum;
}

double PoolStats::utilisation() const {
    nanoseconds worked{}, all{};
    for (const auto& worker : workers) {
        worked += worker.working;
        all += life(worker);
    }
    return std::min(1.0, part(worked, all));
}

nanoseconds PoolStats::percentile(double fraction) const {
    const auto from_buckets = times.percentile(fraction);
    if (slowest.empty() || slowest.front().count > 1) return from_buckets;
    const auto longest = slowest.front().duration;
    return fraction >= 1 ? longest : std::min(from_buckets, longest);
}

const char* to_string(WorkerState state) {
    switch (state) {
        case WorkerState::starting:
            return "starting";
        case WorkerState::initializing:
            return "initializing";
        case WorkerState::waiting:
            return "waiting";
        case WorkerState::working:
            return "working";
        case WorkerState::gone:
            return "gone";
    }
    return "unknown";
}

const char* to_string(MemoryLimiter limiter) {
    switch (limiter) {
        case MemoryLimiter::none:
            return "nothing";
        case MemoryLimiter::data_limit:
            return "RLIMIT_DATA";
        case MemoryLimiter::control_group:
            return "a control group";
    }
    return "unknown";
}

std::ostream& operator<<(std::ostream& out, const PoolStats& stats) {
    using trace::count_text, trace::duration_text, trace::percent_text;
    const double seconds = static_cast<double>(stats.elapsed.count()) / 1e9;
    out << "pool \"" << stats.name << "\": " << count_text(stats.tasks()) << (stats.tasks() == 1 ? " task" : " tasks")
        << " in " << duration_text(stats.elapsed);
    if (seconds > 0) out << ", " << trace::rate_text(static_cast<double>(stats.tasks()) / seconds);
    out << ", workers used to " << percent_text(stats.utilisation());
    const auto tell = [&](std::uint64_t count, const char* what) {
        if (count > 0) out << ", " << count_text(count) << ' ' << what;
    };
    tell(stats.failed(), "failed");
    tell(stats.retried, "retried");
    tell(stats.timeouts, "timed out");
    tell(stats.crashes, stats.crashes == 1 ? "crash" : "crashes");
    if (stats.memory_limit > 0) print_limiters(out, stats);
    out << "\n\n";

    std::vector<Row> rows{
        {"worker", "pid", "tasks", "start", "init", "waiting", "working", "sending", "used", "restarts"}};
    for (const auto& worker : stats.workers)
        rows.push_back({std::to_string(worker.number), worker.pid ? std::to_string(worker.pid) : "-",
                        count_text(worker.tasks), duration_text(worker.start), duration_text(worker.init),
                        duration_text(worker.waiting), duration_text(worker.working), duration_text(worker.sending),
                        percent_text(worker.utilisation()), std::to_string(worker.restarts)});
    print_table(out, rows);

    if (stats.times.count() > 0) {
        out << "\ntask times: median " << duration_text(stats.percentile(0.5)) << ", 90 % within "
            << duration_text(stats.percentile(0.9)) << ", 99 % within " << duration_text(stats.percentile(0.99))
            << ", longest " << duration_text(stats.percentile(1)) << '\n';
    }
    if (!stats.slowest.empty()) {
        out << "\nslowest\n";
        std::vector<Row> lines;
        for (const auto& task : stats.slowest)
            lines.push_back({"  " + trace::shortened(task.name(), 60), duration_text(task.duration),
                             "worker " + std::to_string(task.worker), "at " + duration_text(task.begin)});
        print_table(out, lines);
    }
    for (const auto& sentence : stats.advice)
        out << (&sentence == &stats.advice.front() ? "\nadvice\n" : "") << "  " << sentence << '\n';
    return out;
}

}  // namespace mp
