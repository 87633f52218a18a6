// Deaths of workers: what they leave, whose fault they are, and when there are too many.
#include <signal.h>

#include <algorithm>
#include <ranges>

#include <multiprocessing/errors.hpp>

#include "os/log.hpp"
#include "pool/core.hpp"

namespace mp::detail {

using pool::FailureKind;

// How a worker ends whose process is still there: it has crashed and writes its core, or has done its share. Its replacement
// does not wait for the process to be taken down, which takes the longer the more memory it has. But one at a time in each
// place, so that processes which are slow to end do not pile up; and none while memory is short.
std::optional<ExitStatus> PoolCore::ending(const Lock&, std::size_t index) const {
    const Worker& worker = workers_[index];
    if (auto status = worker.child->crashing()) return status;
    if (stopping_ || !worker.lane->header().planned_end.load(std::memory_order_acquire)) return std::nullopt;
    const auto before_it = [&](const Leaving& one) { return one.place == index && !one.child->status(); };
    if (!admission_.open() || std::ranges::any_of(leaving_, before_it)) return std::nullopt;
    return ExitStatus(ExitStatus::Exited{0});
}

// `ending`: its last instruction of a task has run, but its process has not gone.
void PoolCore::bury(const Lock& lock, std::size_t index, ExitStatus status, bool ending) {
    take_results(lock, index);
    Worker worker = std::move(workers_[index]);
    workers_[index] = {};
    if (status.signal() == SIGKILL) {
        const auto now = os::OomCounters::now();
        if (const auto evidence = now.evidence_since(oom_)) status.set_killed_for_memory(*evidence);
        oom_ = now;
    }
    worker.last_words = pool::last_words(worker.child->report(), options_.memory_limit, status);
    worker.last_words.ending = ending;
    if (worker.output) worker.last_words.stderr_tail = relay_->bury(worker.output);
    if (const auto evidence = worker.memory_group ? worker.memory_group->evidence() : std::nullopt;
        evidence && status.signal() == SIGKILL) {
        status.set_killed_for_memory(*evidence);
        worker.last_words.memory_limit = options_.memory_limit;
    }
    if (ending) leaving_.push_back({index, worker.child, std::exchange(worker.memory_group, std::nullopt)});
    const bool planned = worker.lane->header().planned_end.load(std::memory_order_acquire) != 0;
    insight_.gone(index, *worker.lane, {.planned = planned,
                                        .text = status.to_string(),
                                        .at_work = worker.lane->header().running.load(std::memory_order_relaxed) != 0,
                                        .element = worker.lane->header().current.load(std::memory_order_relaxed)});
    // First, since breaking the pool ends tasks that this worker's list still names.
    const bool in_task = blame(lock, worker, index, status);
    if (worker.ready) life_[index].lived += Clock::now() - life_[index].ready;
    ++(planned ? life_[index].planned_ends : worker.stopping ? life_[index].stopped : life_[index].deaths);
    if (!planned && !worker.stopping) count_death(lock, worker, status, in_task);
    wake_callers();
}

// Starting workers that die before they can work is given up after so many in a row.
int PoolCore::most_failed_starts() const { return static_cast<int>(std::max<std::size_t>(5, 2 * workers_.size())); }

// Too many deaths break the pool.
void PoolCore::count_death(const Lock& lock, const Worker& worker, const ExitStatus& status, bool in_task) {
    if (stopping_) return;
    if (!worker.ready && ++failed_starts_ > most_failed_starts()) {
        break_pool(lock, "its workers end before they can work: the last one " + status.to_string());
        return;
    }
    const bool by_others = worker.ready && status.signal() == SIGKILL && !status.killed_for_memory();
    if (!in_task && by_others) return;
    if ((in_task ? task_deaths_ : restarts_).add(Clock::now()))
        break_pool(lock, "its workers die too often: the last one " + status.to_string());
}

// What the dead worker was running fails or is tried again; what it had not begun goes to others. True when it was running
// something.
bool PoolCore::blame(const Lock& lock, Worker& worker, std::size_t index, const ExitStatus& status) {
    const auto& header = worker.lane->header();
    // One that was being stopped ran that, and nothing else.
    const bool stopped = worker.stopping && worker.stopping->number != 0;
    const std::uint64_t running = header.running.load(std::memory_order_relaxed);
    const pid_t pid = worker.child->pid();
    auto lost = [&](const TaskInfo& task) {
        return pool::worker_lost(task, pid, status, worker.last_words);
    };
    // Of one that wrote over its own lane it is not known what it has run, so that nothing of it is run again.
    const bool damaged = worker.broken || worker.tasks.damaged() || worker.results.damaged();
    auto at_work = std::find_if(worker.sent.begin(), worker.sent.end(),
                                [&](const Sent& sent) { return sent.number == running; });
    // A callable that it was making is part of the work that asked for it.
    const Sent* const making = at_work != worker.sent.end() && at_work->definition ? &*at_work : nullptr;
    if (stopped) at_work = std::ranges::find(worker.sent, worker.stopping->number, &Sent::number);
    while (at_work != worker.sent.end() && !at_work->task && !at_work->job) ++at_work;
    const Sent* culprit = at_work == worker.sent.end() ? nullptr : &*at_work;
    // Unless that was taken back since: what comes next in the lane is innocent.
    if (making && !stopped && culprit && !culprit->needs(making->definition->callable)) culprit = nullptr;
    const bool task_at_work = damaged || (culprit && culprit->task);
    for (const Sent& sent : worker.sent)
        if (sent.task) sent.task->state.store(PoolTask::State::pending, std::memory_order_relaxed);
    const auto loss = schedule_.died(index, task_at_work);
    std::vector<pool::Schedule::Task> blamed;
    if (loss.blamed) blamed.push_back(*loss.blamed);
    if (damaged) {
        for (const Sent& sent : worker.sent) {
            const auto id = reinterpret_cast<std::uintptr_t>(sent.task);
            if (sent.task && schedule_.cancel(id)) blamed.push_back(id);
        }
    }
    const auto kind = status.killed_for_memory() ? FailureKind::memory : FailureKind::crash;
    for (const auto id : blamed | std::views::reverse) {
        auto& task = *reinterpret_cast<PoolTask*>(id);
        if (!broken_.empty())
            fail(lock, task, std::make_exception_ptr(PoolBroken("pool \"" + options_.name + "\" is broken: " + broken_)));
        else if (!stopped) task_failed(lock, task, index, lost(info(task)), kind);
        else if (worker.stopping->why == Stopping::Why::task_timeout)
            task_failed(lock, task, index, stop_error(worker, info(task)), FailureKind::timeout);
        else fail(lock, task, stop_error(worker, info(task)));
    }
    std::vector<std::shared_ptr<pool::Job>> jobs;
    for (const Sent& sent : worker.sent) {
        if (sent.definition && sent.definition->block) heap_.free(sent.definition->block);
        if (!sent.job || sent.job->done) continue;
        sent.job->torn = true;
        const TaskInfo whole{.function = sent.job->callable->name(), .label = sent.job->terms.label};
        if (damaged) {
            sent.job->damage = lost(whole);
            sent.job->damaged_by = index;
        }
        // A death while it is made may be chance; when every worker dies of it, it is the callable.
        constexpr int most_unmade = 5;
        if (making && &sent == culprit && ++sent.job->unmade >= most_unmade)
            give_up(lock, *sent.job, stopped ? stop_error(worker, whole) : lost(whole));
        if (sent.job->encoded) sent.job->lanes.emplace(worker.lane_number, worker.lane);
        const std::uint64_t group = sent.job->group;
        const std::uint64_t element = header.current.load(std::memory_order_relaxed);
        if (stopped && &sent == culprit && worker.stopping->element / group < sent.job->count) {
            const std::uint64_t late = worker.stopping->element;
            element_failed(lock, sent.job, index, late / group, stop_error(worker, info(*sent.job, late)), FailureKind::timeout);
        } else if (sent.number == running && element / group < sent.job->count && is_open(*sent.job, element / group)) {
            element_failed(lock, sent.job, index, element / group, lost(info(*sent.job, element)), kind);
        }
        jobs.push_back(sent.job);
    }
    for (const auto& queued : worker.queued)
        if (queued.job && !queued.job->done) jobs.push_back(queued.job);
    for (const auto& job : jobs) left(lock, job);
    return damaged || culprit;
}

}  // namespace mp::detail
