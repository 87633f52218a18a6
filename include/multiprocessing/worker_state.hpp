/// \file
/// What belongs to one worker of a pool: an object that its initializer made, and what it does before it ends.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <multiprocessing/export.hpp>

namespace mp {

namespace detail {
MP_EXPORT void set_worker_state(std::shared_ptr<void> state, const std::type_info& type);
MP_EXPORT void* worker_state(const std::type_info& type);
}  // namespace detail

/// The object that PoolOptions::initializer returned in the worker that runs the calling task: made once for each
/// worker, never sent, used by one task at a time. `mp::worker_state<Database>().query(…)`. Throws Error where there is
/// none, or one of another type.
template <class T>
T& worker_state() {
    static_assert(!std::is_reference_v<T> && !std::is_const_v<T>,
                  "worker_state<T>: T is the type that the initializer returns");
    return *static_cast<T*>(detail::worker_state(typeid(T)));
}

/// Has the worker that runs the calling task - or its initializer - call `action` before it ends as planned: when the
/// pool is joined, or the worker has done its share (max_tasks_per_worker). In reverse order; before the worker's state
/// is destroyed; not when the worker dies or is terminated. What an action throws is written to stderr. Any thread of a worker
/// process may call it; with the engine of threads only the thread that runs the task.
MP_EXPORT void at_worker_exit(std::function<void()> action);

}  // namespace mp
