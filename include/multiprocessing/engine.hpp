/// \file
/// What runs a pool's tasks: processes, unless a pool is told otherwise by PoolOptions::engine.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <multiprocessing/export.hpp>

namespace mp {

namespace detail {
class Engine;
}
struct PoolOptions;

/// What an engine promises beyond running tasks. Options that ask for more than that are refused with
/// std::invalid_argument.
struct EngineLimits {
    /// For messages.
    std::string name = "processes";
    /// A task that crashes, is killed or exits costs itself alone. Otherwise it ends the program.
    bool isolates_crashes = true;
    /// A task that runs can be stopped: task_timeout, timeout, Future::cancel. Otherwise only what has not begun can be
    /// cancelled.
    bool stops_tasks = true;
    /// Workers are processes of their own: start_method, and memory of their own, so that globals are not shared.
    bool has_processes = true;
    /// Workers can be replaced: max_tasks_per_worker, max_worker_growth, max_worker_age.
    bool replaces_workers = true;
    /// More than one task runs at a time.
    bool is_parallel = true;
};

/// Names an engine: `mp::Pool pool({.engine = mp::threads()})`.
class EngineChoice {
  public:
    using Make = std::shared_ptr<detail::Engine> (*)(PoolOptions options);

    /// Processes.
    EngineChoice() = default;
    EngineChoice(EngineLimits limits, Make make) : limits_(std::move(limits)), make_(make) {}

    /// What it promises.
    const EngineLimits& limits() const noexcept { return limits_; }
    /// \cond internal
    Make internal_make() const noexcept { return make_; }
    /// \endcond

  private:
    EngineLimits limits_{};
    Make make_ = nullptr;
};

/// Runs each task in the calling thread, when it is submitted, so that a debugger sees caller and task in one stack.
/// Functions, arguments and results are encoded as for processes: what works here can be sent. A map tells its progress
/// between its elements, in the thread that runs them.
MP_EXPORT EngineChoice inline_engine();

/// Runs tasks on threads of this process. Each thread has a copy of the function of its own, and arguments are copies,
/// as with processes; but globals are shared, and a crash ends the program. A task that waits for tasks of its own pool
/// runs others meanwhile.
MP_EXPORT EngineChoice threads();

}  // namespace mp
