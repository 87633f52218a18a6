#include "page.hpp"

#include <algorithm>
#include <functional>

namespace top {
namespace {

void sort(std::vector<WorkerLine>& workers, Order order) {
    const auto by = [&](auto projection) { std::ranges::stable_sort(workers, std::greater(), projection); };
    switch (order) {
        case Order::worker:
            return;
        case Order::cpu:
            return by([](const WorkerLine& line) { return line.cpu.value_or(0); });
        case Order::memory:
            return by([](const WorkerLine& line) { return line.resident; });
        case Order::tasks:
            return by([](const WorkerLine& line) { return line.stats.tasks; });
        case Order::time:
            return by([](const WorkerLine& line) { return line.stats.task_time; });
    }
}

}  // namespace

std::vector<PoolLines> Watcher::look(pid_t only, Order order) {
    auto pools = mp::running_pools(only);
    std::map<pid_t, Usage> usages;
    for (const auto& pool : pools)
        for (const auto& worker : pool.stats.workers)
            if (const auto usage = usage_of(worker.pid)) usages.emplace(worker.pid, *usage);
    return look(std::move(pools), usages, order, Clock::now());
}

std::vector<PoolLines> Watcher::look(std::vector<mp::RunningPool> pools, const std::map<pid_t, Usage>& usages,
                                     Order order, Clock::time_point at) {
    const double seconds = last_ ? std::chrono::duration<double>(at - *last_).count() : 0;
    decltype(pool_tasks_) pool_tasks;
    decltype(workers_) workers;
    // Counters of a worker that was replaced meanwhile, or of another program with its number, may be less.
    const auto rate = [&](std::uint64_t now, std::uint64_t before) -> std::optional<double> {
        if (!(seconds > 0)) return std::nullopt;
        return static_cast<double>(now > before ? now - before : 0) / seconds;
    };
    std::vector<PoolLines> page;
    for (auto& pool : pools) {
        PoolLines lines;
        lines.pid = pool.pid;
        lines.program = std::move(pool.program);
        lines.stats = std::move(pool.stats);
        const std::pair key(lines.pid, lines.stats.name);
        const std::uint64_t tasks = lines.stats.tasks();
        if (const auto before = pool_tasks_.find(key); before != pool_tasks_.end())
            lines.rate = rate(tasks, before->second);
        pool_tasks.emplace(key, tasks);
        for (const auto& stats : lines.stats.workers) {
            WorkerLine line{.stats = stats, .cpu = {}, .rate = {}};
            Seen seen{stats.tasks, 0};
            if (const auto usage = usages.find(stats.pid); usage != usages.end()) {
                line.resident = usage->second.resident;
                seen.cpu_seconds = usage->second.cpu_seconds;
            }
            if (const auto before = workers_.find(stats.pid); stats.pid > 0 && before != workers_.end()) {
                line.rate = rate(stats.tasks, before->second.tasks);
                if (seconds > 0) line.cpu = std::max(0.0, seen.cpu_seconds - before->second.cpu_seconds) / seconds;
            }
            if (stats.pid > 0) workers.insert_or_assign(stats.pid, seen);
            lines.workers.push_back(std::move(line));
        }
        sort(lines.workers, order);
        page.push_back(std::move(lines));
    }
    pool_tasks_ = std::move(pool_tasks);
    workers_ = std::move(workers);
    last_ = at;
    return page;
}

}  // namespace top
