// Who waits for what the engines within this process do, and who is told; how tasks that wait are called off.
#include <algorithm>

#include <multiprocessing/errors.hpp>

#include "pool/local_engine.hpp"
#include "pool/local_task.hpp"

namespace mp::detail {

void LocalEngine::finish(Lock&, LocalTask& task) {
    task.arguments.clear();
    task.handles.clear();
    task.callable.reset();
    task.done.store(true, std::memory_order_release);
    task.watchers.tell();
}

bool LocalEngine::notify(const std::atomic<bool>& done, pool::Watchers& watchers,
                         std::shared_ptr<Completion> completion, bool watched) {
    const Lock lock(mutex_);
    if (done.load(std::memory_order_relaxed)) return false;
    watchers.add(std::move(completion), watched ? &callbacks_ : nullptr);
    return true;
}

void LocalEngine::forget(pool::Watchers& watchers, const Completion& completion) {
    const Lock lock(mutex_);
    watchers.remove(completion);
    news_.notify_all();
}

// Until something changes, or `end`; a worker also until something is due.
void LocalEngine::wait_for_news(Lock& lock, const Worker* worker, Clock::time_point end) {
    if (worker && !delayed_.empty()) end = std::min(end, delayed_.begin()->first);
    if (end == Clock::time_point::max())
        news_.wait(lock);
    else
        news_.wait_until(lock, end);
}

// A task that waits for others of its pool does some of them meanwhile: its thread may be the only one. The newest
// first: these are its own as a rule, so that the stack does not grow by all that wait before them and will wait in
// their turn.
bool LocalEngine::wait_for(Lock& lock, const std::function<bool()>& done, double seconds) {
    const bool limited = seconds >= 0 && seconds < 1e9;
    const auto end = Clock::now() +
                     std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limited ? seconds : 0));
    while (!done()) {
        if (limited && Clock::now() >= end) return false;
        Worker* const worker = own_worker();
        if (worker) take_due(lock);
        if (const auto last = worker ? last_for(*worker) : waiting_.end(); last != waiting_.end()) {
            Item item = std::move(*last);
            waiting_.erase(last);
            ++running_;
            lock.unlock();
            run(*worker, std::move(item));
            lock.lock();
        } else {
            wait_for_news(lock, worker, limited ? end : Clock::time_point::max());
        }
    }
    return true;
}

bool LocalEngine::wait(const std::atomic<bool>& done, double seconds) {
    if (done.load(std::memory_order_acquire)) return true;
    require_owner();
    Lock lock(mutex_);
    return wait_for(lock, [&] { return done.load(std::memory_order_acquire); }, seconds);
}

bool LocalEngine::help(const std::function<bool()>& done, double seconds) {
    require_owner();
    Lock lock(mutex_);
    return wait_for(lock, done, seconds);
}

bool LocalEngine::cancel(LocalTask& task) {
    Lock lock(mutex_);
    const auto is_it = [&](const Item& item) { return item.task.get() == &task; };
    std::shared_ptr<LocalTask> held;
    if (const auto found = std::ranges::find_if(waiting_, is_it); found != waiting_.end()) {
        held = std::move(found->task);
        waiting_.erase(found);
    } else {
        const auto delayed = std::ranges::find_if(delayed_, [&](const auto& entry) { return is_it(entry.second); });
        if (delayed == delayed_.end()) return false;
        held = std::move(delayed->second.task);
        delayed_.erase(delayed);
    }
    held->error = std::make_exception_ptr(TaskCancelled(held->info()));
    finish(lock, *held);
    news_.notify_all();
    return true;
}

void LocalEngine::fail_waiting(Lock& lock, const std::function<std::exception_ptr(const TaskInfo&)>& error_of) {
    for (auto& [due, item] : std::exchange(delayed_, {})) waiting_.push_back(std::move(item));
    for (auto& item : std::exchange(waiting_, {})) {
        if (item.task) {
            item.task->error = error_of(item.task->info());
            finish(lock, *item.task);
        } else {
            if (!item.map->whole) item.map->whole = error_of(item.map->info());
            share_left(lock, item.map);
        }
    }
    news_.notify_all();
}

void LocalEngine::cancel_waiting(Lock& lock, const char* reason) {
    fail_waiting(lock, [&](const TaskInfo& task) { return std::make_exception_ptr(TaskCancelled(task, reason)); });
}

}  // namespace mp::detail
