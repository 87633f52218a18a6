/// \file
/// The result of a task that is on its way.
#pragma once

#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/pool_call.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

/// Stands for the result of Pool::submit. Copies mean the same task; it may outlive the pool. Dropping it changes nothing:
/// the task is run all the same. Any thread.
template <class R>
class Future {
  public:
    /// Of no task: done() and the others may not be called.
    Future() = default;
    /// \cond internal
    explicit Future(std::shared_ptr<detail::PoolTask> task) : task_(std::move(task)) {}
    /// \endcond

    bool valid() const { return task_ != nullptr; }

    /// Whether there is a result or an error by now. Does not wait.
    bool done() const { return detail::task_done(*task_); }

    /// Waits until done().
    void wait() const { detail::task_wait(*task_, -1); }

    /// Waits at most this long: true when done(). Zero or less looks only.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) const {
        const double seconds = std::chrono::duration<double>(limit).count();
        return detail::task_wait(*task_, seconds > 0 ? seconds : 0);
    }

    /// Waits for the result. Throws what the task threw, as its own type and as RemoteError; WorkerLost when its worker
    /// died; TaskCancelled; PoolBroken; SerializationError when the result cannot be made from its bytes. May be called
    /// again: each call makes the value anew.
    R get() const {
        wait();
        if (auto error = detail::task_error(*task_)) std::rethrow_exception(std::move(error));
        if constexpr (!std::is_void_v<R>) {
            serial::Reader reader(detail::task_result(*task_), detail::task_handles(*task_));
            R value = serial::decode<R>(reader);
            reader.finish();
            return value;
        }
    }

    /// Waits for the result or the error, and throws neither.
    Outcome<R> outcome() const {
        wait();
        if (auto error = detail::task_error(*task_)) return Outcome<R>(std::move(error));
        try {
            if constexpr (std::is_void_v<R>) return Outcome<void>(std::monostate());
            else return Outcome<R>(get());
        } catch (...) {
            return Outcome<R>(std::current_exception());
        }
    }

    /// Takes the task back when no worker has been given it: true; it then ends with TaskCancelled. False when it is too
    /// late.
    bool cancel() { return detail::task_cancel(*task_); }

  private:
    std::shared_ptr<detail::PoolTask> task_;
};

}  // namespace mp
