// Who is told when a task or a map is over, and waiting for whatever comes first.
#include <algorithm>
#include <thread>

#include <multiprocessing/cpu_count.hpp>

#include "pool/core.hpp"

namespace mp::detail {

bool PoolCore::notify(PoolTask& task, std::shared_ptr<Completion> completion, bool watched) {
    require_owner();
    const Lock lock(mutex_);
    if (task.done()) return false;
    task.watchers.add(std::move(completion), watched ? &callbacks_ : nullptr);
    return true;
}

bool PoolCore::notify(pool::Job& job, std::shared_ptr<Completion> completion, bool watched) {
    require_owner();
    const Lock lock(mutex_);
    if (job.done) return false;
    job.watchers.add(std::move(completion), watched ? &callbacks_ : nullptr);
    return true;
}

void PoolCore::forget(pool::Watchers& watchers, const Completion& completion) {
    const Lock lock(mutex_);
    watchers.remove(completion);
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
    const auto deadline =
        seconds < 0 ? base::Deadline::never() : base::Deadline::after(std::chrono::duration<double>(seconds));
    if (let_results_gather(done, deadline)) return true;
    {
        Lock lock(mutex_);
        expect_any(lock, 1);
    }
    const bool in_time = work_until([&](const Lock&) { return done(); }, deadline);
    Lock lock(mutex_);
    expect_any(lock, -1);
    return in_time;
}

// Where workers have all CPUs, looking out for results takes one of them a CPU, and being woken for each takes its
// worker longer than a short task. So while they have enough to do this sleeps a little, and takes what has come by
// then. True when that is something.
bool PoolCore::let_results_gather(const std::function<bool()>& done, base::Deadline deadline) {
    constexpr std::chrono::microseconds little(100);
    if (workers_.size() < cpu_count()) return false;
    Lock lock(mutex_);
    pump(lock);
    if (done()) return true;
    if (schedule_.backlog() < 2 * little) return false;
    lock.unlock();
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(little, deadline.left().value_or(little)));
    lock.lock();
    pump(lock);
    return done();
}

// Enough for each worker to have twice what it may hold, up to what the caches still hold.
std::size_t PoolCore::useful_window() const {
    constexpr std::size_t most = 256;
    return schedule_.workers() * std::min(2 * window_.load(std::memory_order_relaxed), most);
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
    return !done() && pool->notify(*this, std::move(completion), watched);
}

void PoolTask::forget(const Completion& completion) { pool->forget(watchers, completion); }
Engine& PoolTask::engine() { return *pool; }

}  // namespace mp::detail
