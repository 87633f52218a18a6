// What could be done better, told from the numbers alone.
#include <algorithm>

#include <multiprocessing/stats.hpp>

#include "trace/units.hpp"

namespace mp {
namespace {

using std::chrono::nanoseconds;
using trace::duration_text, trace::percent_text;

double ratio(nanoseconds a, nanoseconds b) {
    return b.count() > 0 ? static_cast<double>(a.count()) / static_cast<double>(b.count()) : 0;
}

struct Sums {
    nanoseconds start{}, waiting{}, working{}, sending{};
    nanoseconds all() const { return start + waiting + working + sending; }
};

Sums sums_of(const PoolStats& stats) {
    Sums sums;
    for (const auto& worker : stats.workers) {
        sums.start += worker.start + worker.init;
        sums.waiting += worker.waiting;
        sums.working += worker.working;
        sums.sending += worker.sending;
    }
    return sums;
}

std::string plural(std::uint64_t count, const char* one, const char* many) {
    return trace::count_text(count) + ' ' + (count == 1 ? one : many);
}

}  // namespace

std::vector<std::string> advise(const PoolStats& stats) {
    using namespace std::chrono_literals;
    std::vector<std::string> advice;
    const auto tasks = stats.tasks();
    const auto workers = stats.workers.size();
    const Sums sums = sums_of(stats);

    if (stats.crashes > 0 && stats.crashes * 20 >= tasks)
        advice.push_back(plural(stats.crashes, "worker", "workers") + " died in " + plural(tasks, "task", "tasks") +
                         ": each death costs the start of another; mend the tasks that crash");
    if (stats.memory_pauses > 0) {
        advice.push_back("memory was short " + plural(stats.memory_pauses, "time", "times") +
                         (stats.short_of_memory ? ", and is now" : "") +
                         ", and one task ran at a time: fewer workers, or tasks that need less, would not have to wait");
    }
    // From here on about time: a run too short says nothing.
    if (stats.elapsed < 10ms || tasks == 0) return advice;

    if (workers > 1 && !stats.slowest.empty()) {
        const auto& longest = stats.slowest.front();
        const double of_all = ratio(longest.duration, stats.elapsed);
        if (of_all >= 0.5 && longest.count == 1 && tasks > 1)
            advice.push_back("one task took " + percent_text(of_all) + " of the wall time, " + longest.name() +
                             ": split it, or begin with it");
        else if (of_all >= 0.5 && longest.count > 1)
            advice.push_back("one chunk of " + trace::count_text(longest.count) + " elements took " +
                             percent_text(of_all) + " of the wall time: leave chunk_size out, or make it smaller");
    }
    // Handing a task over costs about half a microsecond on either side.
    const auto median = stats.times.percentile(0.5);
    if (stats.submitted >= 1000 && stats.submitted > stats.elements && median < 5us)
        advice.push_back("tasks take " + duration_text(median) +
                         ": batch larger, or use map, which hands out many at once");
    else if (stats.elements >= 1000 && stats.elements > stats.submitted && median < 100ns)
        advice.push_back("elements take " + duration_text(median) + ": let each do more work");
    if (stats.cpus > 0 && workers > stats.cpus && ratio(sums.waiting, sums.all()) < 0.5)
        advice.push_back(plural(workers, "worker shares", "workers share") + " " + plural(stats.cpus, "CPU", "CPUs") +
                         ": more workers than CPUs help only tasks that wait");
    if (sums.sending > sums.all() * 3 / 10)
        advice.push_back("handing results over takes " + percent_text(ratio(sums.sending, sums.all())) +
                         " of the workers' time: return less, or write into an mp::Array");
    if (sums.start > sums.all() * 3 / 10)
        advice.push_back("starting and initializing took " + percent_text(ratio(sums.start, sums.all())) +
                         " of the workers' time: keep one pool for several calls");
    if (stats.workers.size() > 1 && sums.waiting > sums.all() / 2 && stats.waiting == 0)
        advice.push_back("workers waited " + percent_text(ratio(sums.waiting, sums.all())) +
                         " of their time: there were fewer tasks than workers, or the caller was slower than they are");
    return advice;
}

}  // namespace mp
