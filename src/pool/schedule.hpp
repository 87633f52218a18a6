// Which worker gets which task: a pure function of what was submitted, finished and died. Knows numbers only; no process,
// no memory, no clock of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ring.hpp"

namespace mp::pool {

class Schedule {
  public:
    using Task = std::uint64_t;
    using Worker = std::size_t;

    struct Assignment {
        Task task;
        Worker worker;
        bool notify;  // the caller wants to know when this one is done, to send more in time
    };

    /// What a death means: the task that was being run is to blame, the others are waiting again.
    struct Loss {
        std::optional<Task> blamed;
        std::size_t waiting_again = 0;
    };

    explicit Schedule(std::size_t workers);

    void submit(Task task) { waiting_.push_back(task); }
    /// Before everything else: for a task that is tried again.
    void submit_first(Task task) { waiting_.push_front(task); }
    /// True when it was waiting and now is forgotten.
    bool cancel(Task task) { return waiting_.erase(task); }
    /// Forgets all that wait, in order.
    std::vector<Task> cancel_waiting();

    /// A worker may be given tasks; or not until said again.
    void open(Worker worker);
    void close(Worker worker);

    /// The next task and who gets it; nothing when none waits or nobody has room. Idle workers first, and among those the
    /// one that worked last: its memory is warm, and the others may sleep on. Takes as long for a million workers as for
    /// one.
    std::optional<Assignment> next();
    /// Somebody may be given one more.
    bool room() {
        while (least_load_ < window_ && by_load_[least_load_] == nobody) ++least_load_;
        return least_load_ < window_;
    }
    /// An assignment could not be handed over: it waits again, at the front.
    void undo(const Assignment& assignment);

    /// The worker has done its oldest task, in so many nanoseconds. Gives that task.
    std::optional<Task> done(Worker worker, std::uint64_t nanoseconds);

    /// The worker's newest task was taken back before it began: it waits again, before all others. False when it is not
    /// its newest.
    bool withdraw(Worker worker, Task task);
    /// The worker is not to run this one, wherever it stands in its list, which then is forgotten.
    bool forget(Worker worker, Task task);
    /// Nothing waits, and somebody has nothing to do while somebody else has more than one task.
    bool imbalanced() const;

    /// The worker is dead (or told to end): what it had is waiting again, in its place before all others, except what it
    /// was running, if it had begun its oldest one.
    Loss died(Worker worker, bool running);

    std::size_t workers() const { return workers_.size(); }
    std::size_t waiting() const { return waiting_.size(); }
    std::size_t assigned() const { return assigned_; }
    std::size_t assigned(Worker worker) const { return workers_[worker].tasks.size(); }
    /// About how long the workers are busy with what they have.
    std::chrono::nanoseconds backlog() const {
        return std::chrono::nanoseconds(workers_.empty() ? 0 : assigned_ * mean_ns_ / workers_.size());
    }
    /// How many tasks a worker may hold now.
    std::size_t window() const { return window_; }

  private:
    static constexpr std::size_t nobody = ~std::size_t(0);
    static constexpr std::size_t least_window = 2;
    static constexpr std::size_t largest_window = 2048;
    struct State {
        bool open = false;
        base::Ring<Task> tasks;  // in the order in which it runs them
        // Its neighbours among the open workers that have as many tasks.
        Worker before = nobody, after = nobody;
    };

    void link(Worker worker);
    void unlink(Worker worker);
    template <class Change>
    void change(Worker worker, Change change);

    std::vector<State> workers_;
    // Open workers by the number of their tasks, the one that was given or finished something last in front: so that who
    // is next is found without looking at all.
    std::vector<Worker> by_load_;
    std::size_t least_load_ = 0;  // nobody that is open has fewer
    std::size_t crowded_ = 0;     // workers, open or not, with more than one task
    base::Ring<Task> waiting_;
    std::size_t assigned_ = 0;
    std::uint64_t mean_ns_ = 0;  // of recent tasks; 0: nothing known
    std::size_t window_ = least_window;
    std::uint64_t sent_ = 0;
};

}  // namespace mp::pool
