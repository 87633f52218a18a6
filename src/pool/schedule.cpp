#include "pool/schedule.hpp"

#include <algorithm>

namespace mp::pool {

namespace {
// A worker holds as many tasks as keep it busy for this long, so that it never waits for the next; no more, so that
// others can still take the rest.
constexpr std::uint64_t horizon_ns = 1'000'000;
}  // namespace

Schedule::Schedule(std::size_t workers) : workers_(workers), by_load_(largest_window + 1, nobody) {}

void Schedule::link(Worker worker) {
    State& state = workers_[worker];
    const std::size_t load = state.tasks.size();
    state.before = nobody;
    state.after = by_load_[load];
    if (state.after != nobody) workers_[state.after].before = worker;
    by_load_[load] = worker;
    least_load_ = std::min(least_load_, load);
}

void Schedule::unlink(Worker worker) {
    State& state = workers_[worker];
    if (state.after != nobody) workers_[state.after].before = state.before;
    if (state.before != nobody) workers_[state.before].after = state.after;
    else by_load_[state.tasks.size()] = state.after;
}

// Whatever changes a worker's tasks: keeps it where workers with so many are found.
template <class Change>
void Schedule::change(Worker worker, Change change) {
    State& state = workers_[worker];
    if (state.open) unlink(worker);
    if (state.tasks.size() > 1) --crowded_;
    assigned_ -= state.tasks.size();
    change(state.tasks);
    assigned_ += state.tasks.size();
    if (state.tasks.size() > 1) ++crowded_;
    if (state.open) link(worker);
}

void Schedule::open(Worker worker) {
    if (workers_[worker].open) return;
    workers_[worker].open = true;
    link(worker);
}

void Schedule::close(Worker worker) {
    if (!workers_[worker].open) return;
    unlink(worker);
    workers_[worker].open = false;
}

std::vector<Schedule::Task> Schedule::cancel_waiting() {
    std::vector<Task> all(waiting_.begin(), waiting_.end());
    waiting_.clear();
    return all;
}

std::optional<Schedule::Assignment> Schedule::next() {
    if (waiting_.empty() || !room()) return std::nullopt;
    const Worker best = by_load_[least_load_];
    const Task task = waiting_.front();
    waiting_.pop_front();
    change(best, [&](base::Ring<Task>& tasks) { tasks.push_back(task); });
    // Every quarter of a window, so that the caller refills before the worker runs dry.
    const bool notify = !waiting_.empty() && ++sent_ % std::max<std::size_t>(1, window_ / 4) == 0;
    return Assignment{task, best, notify};
}

void Schedule::undo(const Assignment& assignment) {
    change(assignment.worker, [](base::Ring<Task>& tasks) { tasks.pop_back(); });
    waiting_.push_front(assignment.task);
}

std::optional<Schedule::Task> Schedule::done(Worker worker, std::uint64_t nanoseconds) {
    if (workers_[worker].tasks.empty()) return std::nullopt;
    const Task task = workers_[worker].tasks.front();
    change(worker, [](base::Ring<Task>& tasks) { tasks.pop_front(); });
    const std::uint64_t measured = std::max<std::uint64_t>(1, nanoseconds);
    mean_ns_ = mean_ns_ == 0 ? measured : (7 * mean_ns_ + measured + 7) / 8;
    window_ = std::clamp<std::size_t>(static_cast<std::size_t>(horizon_ns / mean_ns_), least_window, largest_window);
    return task;
}

bool Schedule::withdraw(Worker worker, Task task) {
    const base::Ring<Task>& tasks = workers_[worker].tasks;
    if (tasks.empty() || tasks.back() != task) return false;
    change(worker, [](base::Ring<Task>& changed) { changed.pop_back(); });
    waiting_.push_front(task);
    return true;
}

bool Schedule::forget(Worker worker, Task task) {
    bool found = false;
    change(worker, [&](base::Ring<Task>& tasks) { found = tasks.erase(task); });
    return found;
}

bool Schedule::imbalanced() const { return waiting_.empty() && crowded_ > 0 && by_load_[0] != nobody; }

Schedule::Loss Schedule::died(Worker worker, bool running) {
    close(worker);
    Loss loss;
    change(worker, [&](base::Ring<Task>& tasks) {
        if (running && !tasks.empty()) {
            loss.blamed = tasks.front();
            tasks.pop_front();
        }
        loss.waiting_again = tasks.size();
        for (; !tasks.empty(); tasks.pop_back()) waiting_.push_front(tasks.back());
    });
    return loss;
}

}  // namespace mp::pool
