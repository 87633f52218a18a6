// Who is told when a task or a map is over, and waiting for whatever comes first.
#include <algorithm>

#include "pool/core.hpp"

namespace mp::detail {

bool PoolCore::notify(PoolTask& task, pool::Watcher watcher) {
    require_owner();
    Lock lock(mutex_);
    return !task.done() && add_watcher(lock, task.rarely().watchers, std::move(watcher));
}

bool PoolCore::add_watcher(const Lock&, std::vector<pool::Watcher>& watchers, pool::Watcher watcher) {
    if (watcher.watched) callbacks_.expect();
    watchers.push_back(std::move(watcher));
    return true;
}

void PoolCore::forget(PoolTask& task, const Completion& completion) {
    const Lock lock(mutex_);
    if (task.rare) forget(lock, task.rare->watchers, completion);
}

void PoolCore::forget(pool::Job& job, const Completion& completion) {
    const Lock lock(mutex_);
    forget(lock, job.watchers, completion);
}

void PoolCore::forget(const Lock&, std::vector<pool::Watcher>& watchers, const Completion& completion) {
    std::erase_if(watchers, [&](const pool::Watcher& watcher) {
        if (watcher.completion.get() != &completion) return false;
        if (watcher.watched) callbacks_.came();
        return true;
    });
}

// Something is over.
void PoolCore::tell(const Lock&, std::vector<pool::Watcher>& watchers) {
    if (watchers.empty()) return;
    for (const auto& watcher : std::exchange(watchers, {})) {
        watcher.completion->completed();
        if (watcher.watched) callbacks_.came();
    }
    wake_callers();
}

// While somebody waits for whatever comes first, workers tell of each result.
void PoolCore::expect_any(const Lock&, int change) {
    awaiting_any_ += change;
    if (awaiting_any_ == 0) return;
    for (auto& worker : workers_)
        if (worker.lane) worker.lane->header().awaited.store(0, std::memory_order_relaxed);
}

bool PoolCore::help(const std::function<bool()>& done, double seconds) {
    require_owner();
    {
        Lock lock(mutex_);
        expect_any(lock, 1);
    }
    const bool in_time = work_until(
        [&](const Lock&) { return done(); },
        seconds < 0 ? base::Deadline::never() : base::Deadline::after(std::chrono::duration<double>(seconds)));
    Lock lock(mutex_);
    expect_any(lock, -1);
    return in_time;
}

// Enough for each worker to have twice what it may hold.
std::size_t PoolCore::useful_window() const {
    Lock lock(mutex_);
    return 2 * workers_.size() * schedule_.window();
}

void PoolCore::leave(bool unwinding) {
    if (!is_mine()) return;
    if (unwinding) cancel_waiting();
    close();
    join();
}

bool PoolTask::poll() { return pool->wait(*this, base::Deadline::now()); }

bool PoolTask::wait(double seconds) {
    return pool->wait(
        *this, seconds < 0 ? base::Deadline::never() : base::Deadline::after(std::chrono::duration<double>(seconds)));
}

bool PoolTask::cancel() { return !done() && pool->cancel(*this); }

bool PoolTask::notify(std::shared_ptr<Completion> completion, bool watched) {
    return !done() && pool->notify(*this, {std::move(completion), watched});
}

void PoolTask::forget(const Completion& completion) { pool->forget(*this, completion); }
Engine& PoolTask::engine() { return *pool; }

}  // namespace mp::detail
