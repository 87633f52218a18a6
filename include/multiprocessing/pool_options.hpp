/// \file
/// What can be said about a pool and about its calls; what is left out has the default named here.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <multiprocessing/context.hpp>
#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/engine.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/function.hpp>
#include <multiprocessing/literals.hpp>
#include <multiprocessing/output.hpp>
#include <multiprocessing/progress.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/worker_state.hpp>

namespace mp {

/// How long something may take: any duration, fractions of seconds too. What is too long to count is no limit.
class TimeLimit {
  public:
    /// `.timeout = 30s`
    template <class Rep, class Period>
    constexpr TimeLimit(std::chrono::duration<Rep, Period> limit)  // NOLINT(google-explicit-constructor): `.timeout = 30s`
        : limit_(detail::wait_limit(limit)) {}

    /// Zero for what was zero or less.
    constexpr std::chrono::nanoseconds nanoseconds() const { return limit_; }
    /// Whether it never passes.
    constexpr bool unlimited() const { return limit_ == detail::forever; }
    friend constexpr bool operator==(TimeLimit, TimeLimit) = default;

  private:
    std::chrono::nanoseconds limit_;
};

/// How long to wait before a task is tried again.
struct RetryDelay {
    /// Before the second attempt.
    TimeLimit first = std::chrono::nanoseconds(0);
    /// Each further wait is so many times the one before. Less than 1 is refused.
    double factor = 2;
    /// No wait is longer.
    TimeLimit most = std::chrono::minutes(1);
    /// Up to this share of a wait is left out, by chance, so that tasks that failed together do not come back together.
    /// 0 to 1. The chance depends on nothing but the task's number and attempt: it is the same in each run.
    double jitter = 0.5;
};

/// How often a task is tried again after it failed: a budget for each kind of failure. 0: never, since a task may have
/// had effects before it failed. A task that used up a budget is given up, whatever is left of the others, so it never
/// costs more workers than its budgets say.
struct Retries {
    /// After the worker died in the midst of it.
    int crash = 0;
    /// After it threw an exception.
    int exception = 0;
    /// After it ran longer than its task_timeout.
    int timeout = 0;
    /// After its worker was killed because memory ran out; this is not counted as a crash.
    int memory = 0;
    /// Between two attempts.
    RetryDelay delay{};
    /// Asked before each further attempt that the budgets allow: false gives the task up. Empty: yes. Called in the
    /// caller's process, on the pool's own thread and one at a time: it may use the pool, but must not wait for it. One
    /// that throws says false.
    std::function<bool(const Failure& failure)> when{};
};

/// How a task is stopped that ran out of time or was cancelled: first its mp::stop_token() says so; then, if it still
/// runs, its worker gets SIGTERM and at last SIGKILL. A task that heeds its token costs no worker.
struct StopLadder {
    /// From the stop token to SIGTERM.
    TimeLimit token = std::chrono::milliseconds(100);
    /// From SIGTERM to SIGKILL.
    TimeLimit terminate = std::chrono::milliseconds(400);
};

/// When workers die too often for the pool to go on (Erlang's restart intensity): more than `restarts` deaths
/// `within` a time break the pool.
struct RestartIntensity {
    /// Deaths that no task is to blame for: before the worker was ready, or between tasks. A SIGKILL between tasks is not
    /// counted unless memory had run out: somebody outside wanted that. Workers that die before they are ready break the
    /// pool sooner, after a few in a row.
    int restarts = 100;
    /// The time in which deaths are counted.
    TimeLimit within = std::chrono::seconds(5);
    /// Deaths in the midst of tasks, which cost these tasks only, within the same time. Left out: as many as there are.
    std::optional<int> in_tasks{};
};

namespace detail {

/// What an initializer returns stays in the worker, as mp::worker_state<T>(). Runs once, so it is made for this call alone:
/// no steps, and `reader` has the callable.
template <class F>
void run_initializer(PoolCall& call) {
    F function = decode_callable<F>(*call.reader);
    call.reader->finish();
    using R = std::remove_cvref_t<std::invoke_result_t<F&>>;
    if constexpr (std::is_void_v<R>) std::invoke(function);
    else set_worker_state(std::make_shared<R>(std::invoke(function)), typeid(R));
}

}  // namespace detail

/// A function without arguments, and what it needs, for each worker to call. Made from a function, a lambda that captures
/// plain values, or mp::bind(f, arguments...).
class Initializer {
  public:
    Initializer() = default;
    /// Anything that a pool can call without arguments; refused at compile time as a pool's function is.
    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, Initializer> && std::is_invocable_v<std::decay_t<F>&>)
    Initializer(F&& function) {  // NOLINT(google-explicit-constructor): `.initializer = load_tables`
        using Function = std::decay_t<F>;
        check_callable<Function>();
        entry_ = &detail::entry_record<detail::PoolEntry, &detail::run_initializer<Function>, Function>;
        const Function held(std::forward<F>(function));
        auto state = std::make_shared<serial::Writer>();
        detail::encode_callable(*state, held);
        state_ = std::move(state);
    }

    explicit operator bool() const { return entry_ != nullptr; }
    /// \cond internal
    const detail::EntryRecord* entry() const { return entry_; }
    const serial::Writer& state() const { return *state_; }
    /// \endcond

  private:
    const detail::EntryRecord* entry_ = nullptr;
    std::shared_ptr<const serial::Writer> state_;
};

/// How a Pool is set up.
struct PoolOptions {
    /// Worker processes; cpu_count() when left out. Zero and less are refused.
    std::optional<int> workers{};
    /// Shown by `ps` and in messages.
    std::string name = "pool";
    /// Called once in each worker before its first task; what it returns is the worker's mp::worker_state(). One that fails breaks the pool: what is submitted ends with
    /// PoolBroken and its cause.
    Initializer initializer{};
    /// For calls that do not say otherwise: see CallOptions.
    std::optional<TimeLimit> task_timeout{};
    std::optional<TimeLimit> timeout{};
    Retries retries{};
    /// Bytes that one worker may use, by itself; left out: no limit. Zero is refused. Where the program has been given a
    /// control group (version 2) to divide, each worker gets one below it, which counts resident memory and that of
    /// processes the worker starts, and the kernel kills at the limit. Everywhere else the kernel refuses a worker more
    /// than this of private writable memory, touched or not (RLIMIT_DATA); shared memory - Array, Value, arguments and
    /// results of maps - does not count. In both cases the task that passes the limit ends with MemoryLimitExceeded, and
    /// its worker is replaced; with the refusal a task may catch std::bad_alloc and go on.
    std::optional<std::uint64_t> memory_limit{};
    /// A worker is replaced after so many tasks; left out: never. Zero and less are refused.
    std::optional<int> max_tasks_per_worker{};
    /// A worker is replaced, between two tasks, when its private memory has grown by more than so many bytes since its
    /// initializer was done; left out: never. Looked at a few times a second.
    std::optional<std::uint64_t> max_worker_growth{};
    /// A worker is replaced, between two tasks, when it is older; left out: never.
    std::optional<TimeLimit> max_worker_age{};
    /// When deaths break the pool.
    RestartIntensity restart_intensity{};
    /// How tasks are stopped that are cancelled or take too long.
    StopLadder stop_ladder{};
    /// get_start_method() when left out. With fork, workers are snapshots of the caller as it was when the pool was made.
    std::optional<StartMethod> start_method{};
    /// Of mp::task_rng(): pools of the same seed that are given the same calls draw the same numbers.
    std::uint64_t seed = 0;
    /// What runs the tasks: processes when left out, or mp::threads(), mp::inline_engine().
    EngineChoice engine{};
    /// Where what workers print goes.
    Output output = Output::lines;
    /// For workers that print without end.
    OutputLimit output_limit{};
};

/// How one call works: of map and its kin, of submit and apply. What is left out is as the pool has it.
struct CallOptions {
    /// Elements that a worker takes at once; left out: by measured time, fewer towards the end. Zero and less are refused.
    /// Without meaning for a single task.
    std::optional<std::int64_t> chunk_size{};
    /// For each task - element of a map - from when it begins to run; the time before that does not count. One that takes
    /// longer is stopped (StopLadder) and ends with TaskTimeout; no other task is harmed. Zero and less are refused.
    std::optional<TimeLimit> task_timeout{};
    /// For the whole call from its beginning. When it is up, what runs is stopped, what has not begun is not run any more,
    /// and both end with TaskTimeout: map throws that, map_outcomes has it beside the results so far.
    std::optional<TimeLimit> timeout{};
    /// How often a failed task is tried again.
    std::optional<Retries> retries{};
    /// Shows how far the call is, or tells it to a function: true, a ProgressStyle, or a function that takes a Progress.
    /// Without meaning for a single task.
    ProgressOption progress{};
    /// Names the call in messages: `label(#7, attempt 1): …` instead of the function's name.
    std::string label{};
    /// Of imap and its kin: elements that are taken from the input ahead of the result that is being used. Left out: a
    /// few for each worker while tasks take long, 256 for each while they take microseconds. Zero and less are refused.
    std::optional<std::int64_t> window{};
    /// The same in bytes of arguments, as sent, and of results, as far as they can be foreseen. At least one element is
    /// always under way.
    std::uint64_t window_bytes = 64 << 20;
};

}  // namespace mp
