// The end of a pool: in order, at once, or because it cannot go on.
#include <signal.h>

#include <multiprocessing/errors.hpp>

#include "os/log.hpp"
#include "pool/core.hpp"

namespace mp::detail {

using pool::TaskFrameKind;

void PoolCore::close() {
    require_owner();
    Lock lock(mutex_);
    closed_ = true;
    if (os::logs(LogLevel::info)) os::LogLine(LogLevel::info, "pool.closed").add("pool", options_.name);
}

void PoolCore::join() {
    require_owner();
    {
        Lock lock(mutex_);
        if (!closed_) throw Error("cannot join pool \"" + options_.name + "\" before close() or terminate()");
    }
    work_until([&](const Lock& lock) { return !anything_left(lock) || terminated_ || !broken_.empty(); },
               base::Deadline::never());
    {
        Lock lock(mutex_);
        stopping_ = true;
        if (!terminated_ && broken_.empty())
            for (auto& worker : workers_) send_stop(lock, worker);
    }
    end_threads();
}

void PoolCore::terminate() {
    require_owner();
    {
        Lock lock(mutex_);
        closed_ = stopping_ = true;
        if (!terminated_) {
            terminated_ = true;
            if (os::logs(LogLevel::info)) os::LogLine(LogLevel::info, "pool.terminated").add("pool", options_.name);
            abandon_all(lock, [](const TaskInfo& task) {
                return std::make_exception_ptr(TaskCancelled(task, "the pool was terminated"));
            });
        }
    }
    end_threads();
}

// Once nobody needs them.
void PoolCore::end_threads() {
    wake_watch();
    std::lock_guard ending(ending_);
    if (watch_.joinable()) watch_.join();
    if (relay_) relay_->finish();
    {
        const Lock lock(mutex_);
        insight_.leave_session();
    }
    callbacks_.finish();
}

void PoolCore::send_stop(const Lock& lock, Worker& worker) {
    if (!worker.lane || worker.stop_sent) return;
    worker.stop_sent = true;
    worker.queued.push_back({.kind = TaskFrameKind::stop});
    flush_queued(lock, worker);
}

void PoolCore::break_pool(const Lock& lock, const std::string& cause) {
    if (!broken_.empty()) return;
    broken_ = cause;
    if (os::logs(LogLevel::warning)) os::LogLine(LogLevel::warning, "pool.broken").add("pool", options_.name).add("cause", cause);
    const auto error = std::make_exception_ptr(PoolBroken("pool \"" + options_.name + "\" is broken: " + cause));
    abandon_all(lock, [&](const TaskInfo&) { return error; });
    wake_watch();
}

// Ends all that is under way.
void PoolCore::abandon_all(const Lock& lock, const std::function<std::exception_ptr(const TaskInfo&)>& reason) {
    for (PoolTask* task : waiting_tasks(lock)) fail(lock, *task, reason(info(*task)));
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        Worker& worker = workers_[i];
        schedule_.died(i, false);
        for (const auto id : schedule_.cancel_waiting()) {
            auto& task = *reinterpret_cast<PoolTask*>(id);
            fail(lock, task, reason(info(task)));
        }
        worker.sent.clear();
        worker.queued.clear();
        if (worker.child) worker.child->signal(SIGKILL);
    }
    for (const Leaving& one : leaving_) one.child->signal(SIGKILL);
    for (const auto& job : std::vector(jobs_)) {
        job->failure = reason({.function = job->callable->name(), .label = job->terms.label});
        end(lock, *job);
    }
    wake_callers();
}

}  // namespace mp::detail
