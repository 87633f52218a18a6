#include "pool/schedule.hpp"

#include <algorithm>

namespace mp::pool {

namespace {
// A worker holds as many tasks as keep it busy for this long, so that it never waits for the next; no more, so that
// others can still take the rest.
constexpr std::uint64_t horizon_ns = 1'000'000;
constexpr std::size_t least_window = 2;
constexpr std::size_t largest_window = 2048;
}  // namespace

Schedule::Schedule(std::size_t workers) : workers_(workers) {}

std::size_t Schedule::window() const {
    if (mean_ns_ == 0) return least_window;
    return std::clamp<std::size_t>(static_cast<std::size_t>(horizon_ns / mean_ns_), least_window, largest_window);
}

bool Schedule::cancel(Task task) {
    const auto found = std::find(waiting_.begin(), waiting_.end(), task);
    if (found == waiting_.end()) return false;
    waiting_.erase(found);
    return true;
}

std::vector<Schedule::Task> Schedule::cancel_waiting() {
    std::vector<Task> all(waiting_.begin(), waiting_.end());
    waiting_.clear();
    return all;
}

std::optional<Schedule::Assignment> Schedule::next() {
    if (waiting_.empty()) return std::nullopt;
    const std::size_t limit = window();
    Worker best = workers_.size();
    for (Worker worker = 0; worker < workers_.size(); ++worker) {
        const State& state = workers_[worker];
        if (!state.open || state.tasks.size() >= limit) continue;
        if (best == workers_.size() || state.tasks.size() < workers_[best].tasks.size() ||
            (state.tasks.size() == workers_[best].tasks.size() && state.last_used > workers_[best].last_used))
            best = worker;
    }
    if (best == workers_.size()) return std::nullopt;
    const Task task = waiting_.front();
    waiting_.pop_front();
    State& state = workers_[best];
    state.tasks.push_back(task);
    state.last_used = ++uses_;
    ++assigned_;
    // Every quarter of a window, so that the caller refills before the worker runs dry.
    const bool notify = !waiting_.empty() && ++sent_ % std::max<std::size_t>(1, limit / 4) == 0;
    return Assignment{task, best, notify};
}

void Schedule::undo(const Assignment& assignment) {
    State& state = workers_[assignment.worker];
    state.tasks.pop_back();
    --assigned_;
    waiting_.push_front(assignment.task);
}

std::optional<Schedule::Task> Schedule::done(Worker worker, std::uint64_t nanoseconds) {
    State& state = workers_[worker];
    if (state.tasks.empty()) return std::nullopt;
    const Task task = state.tasks.front();
    state.tasks.pop_front();
    --assigned_;
    const std::uint64_t measured = std::max<std::uint64_t>(1, nanoseconds);
    mean_ns_ = mean_ns_ == 0 ? measured : (7 * mean_ns_ + measured + 7) / 8;
    return task;
}

bool Schedule::withdraw(Worker worker, Task task) {
    State& state = workers_[worker];
    if (state.tasks.empty() || state.tasks.back() != task) return false;
    state.tasks.pop_back();
    --assigned_;
    waiting_.push_front(task);
    return true;
}

bool Schedule::imbalanced() const {
    if (!waiting_.empty() || assigned_ < 2) return false;
    const bool idle = std::ranges::any_of(workers_, [](const State& state) { return state.open && state.tasks.empty(); });
    return idle && std::ranges::any_of(workers_, [](const State& state) { return state.tasks.size() > 1; });
}

Schedule::Loss Schedule::died(Worker worker, bool running) {
    State& state = workers_[worker];
    state.open = false;
    Loss loss;
    assigned_ -= state.tasks.size();
    if (running && !state.tasks.empty()) {
        loss.blamed = state.tasks.front();
        state.tasks.pop_front();
    }
    loss.waiting_again = state.tasks.size();
    waiting_.insert(waiting_.begin(), state.tasks.begin(), state.tasks.end());
    state.tasks.clear();
    return loss;
}

}  // namespace mp::pool
