// What can be seen of a pool: its statistics, the progress of a map, and its part in a recording session.
#include <algorithm>

#include "pool/core.hpp"

namespace mp::detail {

PoolStats PoolCore::stats() {
    require_owner();
    Lock lock(mutex_);
    pump(lock);
    return insight_.stats();
}

// Joins a session that has begun, or leaves one that has ended.
void PoolCore::look_around(const Lock&) {
    for (std::size_t i = 0; i < workers_.size(); ++i)
        if (workers_[i].lane) insight_.drain(i, *workers_[i].lane);
    insight_.leave_session();
    insight_.join_session(std::static_pointer_cast<PoolCore>(shared_from_this()));
    wake_watch();
}

// The end of a session, unless that was noticed already.
void PoolCore::flush(trace::Recorder& recorder) {
    Lock lock(mutex_);
    if (!insight_.takes_part_in(recorder)) return;
    for (std::size_t i = 0; i < workers_.size(); ++i)
        if (workers_[i].lane) insight_.drain(i, *workers_[i].lane);
    insight_.leave_session();
}

// From the counters that workers claim by; nobody sends anything for it.
MapProgress PoolCore::progress(const pool::Job& job) {
    Lock lock(mutex_);
    const std::uint64_t failed = job.errors.size();
    const pool::Grouping& grouping = job.header.grouping;
    if (job.done || job.round_at == 0) return {job.done ? grouping.elements : 0, failed};
    const auto& round = *reinterpret_cast<const pool::Round*>(segment_.data() + job.round_at);
    std::uint64_t done = job.count - std::min(job.count, job.positions) +
                         std::min(round.next.load(std::memory_order_relaxed), job.positions);
    for (const Worker& worker : workers_) {
        if (!worker.lane) continue;
        const auto& header = worker.lane->header();
        const std::uint64_t running = header.running.load(std::memory_order_relaxed);
        const auto at_it = std::ranges::find_if(
            worker.sent, [&](const Sent& sent) { return sent.number == running && sent.job.get() == &job; });
        const std::uint64_t current = header.current.load(std::memory_order_relaxed);
        if (running == 0 || at_it == worker.sent.end() || current == pool::none) continue;
        const std::uint64_t begin = header.claim_begin.load(std::memory_order_relaxed);
        const std::uint64_t end = std::min(header.claim_end.load(std::memory_order_relaxed), job.positions);
        // In later rounds an element says nothing about its position: then all that is claimed counts as open.
        const bool by_position = job.positions == job.count;
        done -= std::min(done, pool::open_positions(begin, end, by_position ? current / job.group : pool::none));
    }
    return {grouping.covered(0, std::min(done, job.count)), failed};
}

std::vector<pool::LifeCounters> PoolCore::life() const {
    Lock lock(mutex_);
    return life_;
}

std::vector<pid_t> PoolCore::pids() {
    require_owner();
    Lock lock(mutex_);
    std::vector<pid_t> list;
    for (const auto& worker : workers_)
        if (worker.child) list.push_back(worker.child->pid());
    return list;
}

}  // namespace mp::detail
