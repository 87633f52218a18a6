/// \file
/// What can be said about a pool and about its calls; what is left out has the default named here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <multiprocessing/context.hpp>
#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/function.hpp>

namespace mp {

/// How often a task is tried again after it failed, by kind of failure. 0: never, since a task may have had effects
/// before it failed.
struct Retries {
    /// After the worker died in the midst of it.
    int crash = 0;
    /// After it threw an exception.
    int exception = 0;
};

/// A function without arguments, and what it needs, for each worker to call. Made from a function, a lambda that captures
/// plain values, or mp::bind(f, arguments...).
class Initializer {
  public:
    Initializer() = default;
    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, Initializer> && std::is_invocable_v<std::decay_t<F>&>)
    Initializer(F&& function) {  // NOLINT(google-explicit-constructor): `.initializer = load_tables`
        using Function = std::decay_t<F>;
        check_callable<Function>();
        entry_ = &detail::entry_record<detail::PoolEntry, &detail::run_task<Function>, Function>;
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
    /// Called once in each worker before its first task. One that fails breaks the pool: what is submitted ends with
    /// PoolBroken and its cause.
    Initializer initializer{};
    /// For calls that do not say otherwise.
    Retries retries{};
    /// A worker is replaced after so many tasks; left out: never. Zero and less are refused.
    std::optional<int> max_tasks_per_worker{};
    /// get_start_method() when left out. With fork, workers are snapshots of the caller as it was when the pool was made.
    std::optional<StartMethod> start_method{};
};

/// How one call of map, starmap or map_outcomes works.
struct MapOptions {
    /// Elements that a worker takes at once; left out: by measured time, fewer towards the end. Zero and less are refused.
    std::optional<std::int64_t> chunk_size{};
    /// The pool's when left out.
    std::optional<Retries> retries{};
    /// Names the call in messages: `label(#7, attempt 1): …` instead of the function's name.
    std::string label{};
};

}  // namespace mp
