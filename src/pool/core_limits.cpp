// Limits of time and cancelling: what waits is taken back, what runs is stopped, and nobody else is harmed.
//
// A worker that is to be stopped is first left alone with what it runs: everything behind it is taken back and nothing
// more is sent. So whatever is done to the process afterwards - its stop token, a signal - cannot hit another task, even
// when the one that was meant ends at that moment.
#include <algorithm>

#include <signal.h>
#include <time.h>

#include <multiprocessing/errors.hpp>

#include "pool/core.hpp"

namespace mp::detail {

using pool::Job;

namespace {

// A worker that does not begin what it was sent for so long is stopped or dead to the world.
constexpr std::chrono::seconds unresponsive_after{1};

// By so much an element may seem to have begun too early.
std::chrono::nanoseconds coarse_tick() {
    static const std::chrono::nanoseconds tick = [] {
        timespec resolution{};
        ::clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
        return std::chrono::seconds(resolution.tv_sec) + std::chrono::nanoseconds(resolution.tv_nsec);
    }();
    return tick;
}

}  // namespace

// The pool's own thread looks at limits then, or before.
void PoolCore::expect_look(Clock::time_point when) {
    if (when >= next_look_) return;
    next_look_ = when;
    wake_watch();
}

// Does what is due, and finds out when to look again.
void PoolCore::look(const Lock& lock) {
    const auto now = Clock::now();
    if (now < next_look_) return;
    next_look_ = Clock::time_point::max();
    auto next = Clock::time_point::max();
    while (!limits_.empty() && limits_.begin()->first <= now) {
        PoolTask& task = *limits_.begin()->second;
        limits_.erase(limits_.begin());
        task.rare->limited = false;
        static_cast<void>(end_early(lock, task, Stopping::Why::call_timeout));
    }
    if (!limits_.empty()) next = std::min(next, limits_.begin()->first);
    while (!delayed_.empty() && delayed_.begin()->first <= now) {
        PoolTask& task = *delayed_.begin()->second;
        delayed_.erase(delayed_.begin());
        task.place = PoolTask::Place::schedule;
        schedule_.submit_first(reinterpret_cast<std::uintptr_t>(&task));
    }
    if (!delayed_.empty()) next = std::min(next, delayed_.begin()->first);
    next = std::min(next, memory_look_);
    for (const auto& job : std::vector(jobs_)) {
        if (job->limit && *job->limit <= now) {
            job->limit.reset();
            static_cast<void>(stop(lock, job, Job::Stopped::timeout));
        }
        if (job->resume && *job->resume <= now) conclude(lock, job);
        for (const auto& time : {job->limit, job->resume})
            if (time && !job->done) next = std::min(next, *time);
    }
    hand_out(lock);
    for (std::size_t i = 0; i < workers_.size(); ++i) next = std::min(next, look_at(lock, i, now));
    next_look_ = std::min(next_look_, next);
}

// Returns when to look at this worker again.
PoolCore::Clock::time_point PoolCore::look_at(const Lock& lock, std::size_t index, Clock::time_point now) {
    constexpr auto never = Clock::time_point::max();
    Worker& worker = workers_[index];
    if (!worker.child) return never;
    if (worker.stopping) {
        climb(worker, now);
        return worker.stopping->sampled ? worker.stopping->ladder.due().value_or(never) : never;
    }
    auto limit_of = [](const Sent& sent) {
        return sent.task         ? sent.task->terms->task_timeout
               : sent.job        ? sent.job->terms.task_timeout
               : sent.definition ? sent.definition->limit
                                 : forever;
    };
    const auto& header = worker.lane->header();
    const std::uint64_t running = header.running.load(std::memory_order_acquire);
    // Asked after what it belongs to, so that it is the beginning of that or of something later.
    auto begun = [&] {
        return Clock::time_point(std::chrono::nanoseconds(header.started.load(std::memory_order_acquire)));
    };
    const Sent* front = nullptr;
    const Sent* orphan = nullptr;  // a callable being made for work that was taken back since
    std::chrono::nanoseconds shortest = forever;
    for (auto sent = worker.sent.begin(); sent != worker.sent.end(); ++sent) {
        shortest = std::min(shortest, limit_of(*sent));
        const auto after = std::next(sent);
        if (sent->definition && sent->number == running && after != worker.sent.end() &&
            !after->task && !after->job)
            orphan = &*sent;
        if (!front && (sent->task || sent->job)) front = &*sent;
    }
    if (shortest == forever) return never;
    // Whatever begins after this look is not over its time before that.
    auto next = now + shortest;
    if (orphan && orphan->definition->limit != forever) {
        const auto due = begun() + orphan->definition->limit;
        if (now < due) return std::min(next, due);
        static_cast<void>(stop_running(lock, index, 0, pool::none, Stopping::Why::unresponsive, orphan->definition->limit));
        return worker.stopping ? now : next;
    }
    if (!front) return next;
    const auto limit = limit_of(*front);
    if (limit == forever) return next;

    // Of a frame that is answered the worker has only to note that it is over, and may have been stopped before that.
    const bool between_frames = running == 0 || std::ranges::find(worker.sent, running, &Sent::number) == worker.sent.end();
    if (between_frames) {
        if (!worker.ready) return next;
        if (worker.unbegun != front->number) {
            worker.unbegun = front->number;
            worker.unbegun_since = now;
        }
        const auto due = worker.unbegun_since + unresponsive_after;
        if (now < due) return std::min(next, due);
        static_cast<void>(stop_running(lock, index, 0, pool::none, Stopping::Why::unresponsive, limit));
    } else if (running <= front->number) {
        std::uint64_t element = pool::none;
        auto why = Stopping::Why::task_timeout;
        auto since = std::chrono::nanoseconds(0);
        if (front->job && running == front->number) {
            element = header.current.load(std::memory_order_acquire);
            const std::uint64_t position = element / front->job->group;
            if (position >= front->job->count || !is_open(*front->job, position)) return next;
            since = coarse_tick();
        } else if (front->job) {
            why = Stopping::Why::unresponsive;  // it makes the callable, and does not come to an end
        }
        const auto due = begun() + since + limit;
        if (now < due) return std::min(next, due);
        static_cast<void>(stop_running(lock, index, front->number, element, why, limit));
    }
    return worker.stopping ? now : next;
}

// Takes a task away from whoever has it before it has begun: true then.
bool PoolCore::take_away(const Lock&, PoolTask& task) {
    if (task.place != PoolTask::Place::schedule) return true;
    const auto id = reinterpret_cast<std::uintptr_t>(&task);
    if (task.state.load(std::memory_order_relaxed) != PoolTask::State::sent) return schedule_.cancel(id);
    Worker& worker = workers_[task.worker];
    const auto sent = std::ranges::find(worker.sent, task.number, &Sent::number);
    if (sent == worker.sent.end() || sent->task != &task || !take_back(worker, *sent)) return false;
    sent->task = nullptr;
    give_up_making(worker, *task.callable);
    return schedule_.forget(task.worker, id);
}

// A callable that is being made, or will be, for work that was taken back may never come to an end, and nothing that has
// a limit waits for it. When nothing else in the lane needs it, it gets as long as a task has to heed its stop token.
void PoolCore::give_up_making(Worker& worker, const pool::Callable& callable) {
    const auto needs = [&](const Sent& sent) { return sent.needs(callable.id()); };
    if (std::ranges::any_of(worker.sent, needs)) return;
    const auto defines = [&](const Sent& sent) {
        return sent.definition && sent.definition->callable == callable.id();
    };
    const auto define = std::find_if(worker.sent.rbegin(), worker.sent.rend(), defines);
    if (define == worker.sent.rend() || options_.stop_ladder.token.unlimited()) return;
    const auto now = Clock::now();
    auto limit = options_.stop_ladder.token.nanoseconds();
    const auto& header = worker.lane->header();
    if (header.running.load(std::memory_order_acquire) == define->number)
        limit += now.time_since_epoch() - std::chrono::nanoseconds(header.started.load(std::memory_order_acquire));
    define->definition->limit = std::min(define->definition->limit, limit);
    expect_look(now);
}

// True when it will end with the error that goes with `why`.
bool PoolCore::end_early(const Lock& lock, PoolTask& task, Stopping::Why why) {
    if (task.done()) return false;
    if (take_away(lock, task)) {
        fail(lock, task,
             why == Stopping::Why::cancelled
                 ? std::make_exception_ptr(TaskCancelled(info(task)))
                 : std::make_exception_ptr(TaskTimeout(info(task), task.terms->timeout)));
        return true;
    }
    return stop_running(lock, task.worker, task.number, pool::none, why, task.terms->timeout);
}

bool PoolCore::cancel(PoolTask& task) {
    require_owner();
    Lock lock(mutex_);
    pump(lock);
    return end_early(lock, task, Stopping::Why::cancelled);
}

bool PoolCore::cancel(const std::shared_ptr<Job>& job) {
    require_owner();
    Lock lock(mutex_);
    pump(lock);
    return stop(lock, job, Job::Stopped::cancelled);
}

// Nothing more of a map is begun, and what runs of it is stopped.
bool PoolCore::stop(const Lock& lock, const std::shared_ptr<Job>& job, Job::Stopped reason) {
    if (job->done || job->failure || job->stopped != Job::Stopped::no) return false;
    job->stopped = reason;
    leave_unclaimed(*job);
    job->again.clear();
    const auto why = reason == Job::Stopped::timeout ? Stopping::Why::call_timeout : Stopping::Why::cancelled;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        Worker& worker = workers_[i];
        job->taking_part -= std::erase_if(worker.queued, [&](const Queued& queued) { return queued.job == job; });
        const auto sent = std::ranges::find_if(worker.sent, [&](const Sent& one) { return one.job == job; });
        if (sent == worker.sent.end()) continue;
        if (take_back(worker, *sent)) {
            sent->job.reset();
            --job->taking_part;
            give_up_making(worker, *job->callable);
        } else {
            static_cast<void>(stop_running(lock, i, sent->number, pool::none, why, job->terms.timeout));
        }
    }
    conclude(lock, job);
    return true;
}

// Begins to stop what the worker runs; `number` 0: nothing, only the worker. False when it ended at that moment.
bool PoolCore::stop_running(const Lock& lock, std::size_t index, std::uint64_t number, std::uint64_t element,
                            Stopping::Why why, std::chrono::nanoseconds limit) {
    Worker& worker = workers_[index];
    if (!worker.child || worker.stopping || worker.broken) return false;
    bool alone = true;
    Job* job = nullptr;
    std::vector<std::shared_ptr<Job>> others;
    for (auto sent = worker.sent.rbegin(); sent != worker.sent.rend() && sent->number >= number; ++sent) {
        if (!sent->task && !sent->job) continue;
        if (sent->number == number) {
            job = sent->job.get();
            break;
        }
        if (!take_back(worker, *sent)) {
            alone = false;
            break;
        }
        if (sent->task) {
            schedule_.withdraw(index, reinterpret_cast<std::uintptr_t>(sent->task));
            sent->task->state.store(PoolTask::State::pending, std::memory_order_relaxed);
            sent->task = nullptr;
        } else {
            others.push_back(std::move(sent->job));
        }
    }
    for (auto& queued : worker.queued)
        if (queued.job) others.push_back(queued.job);
    std::erase_if(worker.queued, [](const Queued& queued) { return queued.job != nullptr; });

    auto& header = worker.lane->header();
    if (alone && job) {
        // Either this sees that the next element has begun, or the worker sees that it must not begin it.
        header.leave.store(number, std::memory_order_seq_cst);
        job->torn = true;
        alone = element == pool::none || (header.current.load(std::memory_order_seq_cst) == element && is_open(*job, element / job->group));
        if (!alone) header.leave.store(0, std::memory_order_relaxed);
    }
    if (alone) {
        schedule_.close(index);
        const bool sampled = why == Stopping::Why::cancelled || number == 0;
        worker.stopping = Stopping{.why = why, .number = number, .element = element, .limit = limit,
                                   .ladder = pool::StopProgress(options_.stop_ladder, Clock::now()), .sampled = sampled};
        if (why == Stopping::Why::cancelled) ++life_[index].cancelled;
        else if (number) ++life_[index].timeouts;
        expect_look(Clock::now());
    }
    for (const auto& other : others) left(lock, other);
    hand_out(lock);
    return alone;
}

void PoolCore::climb(Worker& worker, Clock::time_point now) {
    Stopping& stopping = *worker.stopping;
    if (!stopping.sampled) return;
    while (const auto step = stopping.ladder.advance(now)) {
        if (*step == pool::StopProgress::Step::token) {
            if (!stopping.number) continue;
            stopping.asked = true;
            worker.child->request_stop();
        } else {
            stopping.signalled = true;
            worker.child->signal(*step == pool::StopProgress::Step::terminate ? SIGTERM : SIGKILL);
        }
    }
}

// Looks where tasks are that have run out of time, before they are asked to stop. Takes its time, so without the lock.
void PoolCore::sample_stacks() {
    while (true) {
        std::shared_ptr<process::Child> child;
        std::size_t index = 0;
        std::uint64_t lane = 0;
        {
            Lock lock(mutex_);
            while (index < workers_.size() && !(workers_[index].stopping && !workers_[index].stopping->sampled)) ++index;
            if (index == workers_.size()) return;
            child = workers_[index].child;
            lane = workers_[index].lane_number;
        }
        Stack stack = child->sample_stack(base::Deadline::after(std::chrono::milliseconds(100))).value_or(Stack());
        Lock lock(mutex_);
        Worker& worker = workers_[index];
        if (worker.lane_number != lane || !worker.stopping || worker.stopping->sampled) continue;
        worker.stopping->stack = std::move(stack);
        worker.stopping->sampled = true;
        worker.stopping->ladder = pool::StopProgress(options_.stop_ladder, Clock::now());
        climb(worker, Clock::now());
        if (const auto due = worker.stopping->ladder.due()) next_look_ = std::min(next_look_, *due);
    }
}

// What was to be stopped has ended. A process that was sent no signal goes on.
void PoolCore::settle(const Lock& lock, std::size_t index) {
    Worker& worker = workers_[index];
    worker.stopping->number = 0;
    worker.lane->header().leave.store(0, std::memory_order_relaxed);
    if (worker.stopping->signalled) return;
    if (worker.stopping->asked) worker.child->withdraw_stop();
    worker.stopping.reset();
    schedule_.open(index);
    for (const auto& job : std::vector(jobs_)) send_round(lock, job, worker);
}

std::exception_ptr PoolCore::stop_error(const Worker& worker, const TaskInfo& task) const {
    const Stopping& stopping = *worker.stopping;
    if (stopping.why == Stopping::Why::cancelled) return std::make_exception_ptr(TaskCancelled(task));
    return std::make_exception_ptr(TaskTimeout(task, stopping.limit, worker.child->pid(), stopping.stack));
}

}  // namespace mp::detail
