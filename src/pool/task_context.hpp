// What the calling thread works on, and for which worker: behind task_rng(), worker_state() and at_worker_exit().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <typeinfo>
#include <vector>

namespace mp::pool {

/// One worker: a process, or a thread of the engine of threads.
struct WorkerContext {
    std::shared_ptr<void> state;
    const std::type_info* type = nullptr;

    /// From any thread.
    void at_exit(std::function<void()> action);
    /// Before a planned end: the actions in reverse order, then the state goes.
    void finish() noexcept;

  private:
    std::mutex mutex_;  // guards what follows
    std::vector<std::function<void()>> at_exit_;
};

/// While it lives, the calling thread works for this worker. Without one, a thread works for the process's own.
class WorkerScope {
  public:
    explicit WorkerScope(WorkerContext& context);
    ~WorkerScope();
    WorkerScope(const WorkerScope&) = delete;
    WorkerScope& operator=(const WorkerScope&) = delete;

  private:
    WorkerContext* before_;
};
WorkerContext& worker_context();

/// While it lives, the calling thread runs a task, or the elements of a map one after the other.
class TaskScope {
  public:
    /// `current`: the element at work; null for a task, whose number is `index`.
    TaskScope(std::uint64_t seed, std::uint64_t call, std::uint64_t index,
              const std::atomic<std::uint64_t>* current = nullptr);
    ~TaskScope();
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

    std::uint64_t seed, call, index;
    const std::atomic<std::uint64_t>* current;

  private:
    TaskScope* before_;
};

}  // namespace mp::pool
