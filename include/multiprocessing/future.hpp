/// \file
/// The result of work that is on its way.
#pragma once

#include <chrono>
#include <coroutine>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

namespace detail {

/// Runs it on the pool's callback thread once `pending` is over; in the calling thread when that thread has ended.
MP_EXPORT void call_when_done(Pending& pending, std::function<void()> call);

template <class R>
R task_value(Pending& pending) {
    if constexpr (!std::is_void_v<R>) {
        auto& task = static_cast<PendingTask&>(pending);
        serial::Reader reader(task.bytes(), task.attached());
        R value = serial::decode<R>(reader);
        reader.finish();
        return value;
    }
}

}  // namespace detail

/// Stands for the result of Pool::submit, map_async and starmap_async. Copies mean the same work; it may outlive the
/// pool. Dropping it changes nothing: the work is done all the same. Any thread.
///
/// Callbacks and coroutines run on one thread of the pool, "mp-callbacks", one after the other in the order in which
/// their futures were done: one that takes long or waits holds up those behind it, but never the pool. Once the pool
/// has been joined they run at once in the thread that asks for them. Leaving the pool's scope waits for them.
template <class R>
class Future {
  public:
    using value_type = R;

    /// Of nothing: done() and the others may not be called.
    Future() = default;
    /// \cond internal
    explicit Future(std::shared_ptr<detail::PendingTask> task) : Future(std::move(task), &detail::task_value<R>) {}
    Future(std::shared_ptr<detail::Pending> pending, R (*value)(detail::Pending&))
        : pending_(std::move(pending)), value_(value) {}
    const std::shared_ptr<detail::Pending>& internal_pending() const noexcept { return pending_; }
    // For mp::wait({objects}).
    bool internal_ready() const { return done(); }
    int internal_bell() const { return pending_->bell(); }
    void internal_settle() const {}
    /// \endcond

    /// Whether it stands for anything.
    bool valid() const noexcept { return pending_ != nullptr; }

    /// Whether there is a result or an error by now. Does not wait.
    bool done() const { return pending_->poll(); }

    /// Waits until done().
    void wait() const { pending_->wait(-1); }

    /// Waits at most this long: true when done(). Zero or less looks only.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) const {
        const double seconds = std::chrono::duration<double>(limit).count();
        return pending_->wait(seconds > 0 ? seconds : 0);
    }

    /// Waits for the result. Throws what the task threw, as its own type and as RemoteError; WorkerLost when its worker
    /// died; TaskCancelled; PoolBroken; SerializationError when the result cannot be made from its bytes. May be called
    /// again: each call makes the value anew.
    R get() const {
        wait();
        if (auto error = pending_->first_error()) std::rethrow_exception(std::move(error));
        return value_(*pending_);
    }

    /// Waits for the result or the error, and throws neither.
    Outcome<R> outcome() const {
        wait();
        if (auto error = pending_->first_error()) return Outcome<R>(std::move(error));
        try {
            if constexpr (std::is_void_v<R>)
                return Outcome<void>(std::monostate());
            else
                return Outcome<R>(get());
        } catch (...) {
            return Outcome<R>(std::current_exception());
        }
    }

    /// What has not begun is taken back; what runs is stopped - its mp::stop_token() says so, and its worker is ended
    /// when that does not help (StopLadder). True: it will end with TaskCancelled, once nothing of it runs any more. False
    /// when it is too late.
    bool cancel() { return pending_->cancel(); }

    /// Calls `callback(future)` or `callback()` when this is done, whatever came of it, on the thread described above.
    /// What a callback throws is written to stderr, and those after it are called all the same.
    template <class Callback>
        requires std::is_invocable_v<std::decay_t<Callback>&, Future&> || std::is_invocable_v<std::decay_t<Callback>&>
    void add_done_callback(Callback&& callback) const {
        // Shared, since std::function copies what it holds and a callback may be move-only.
        auto held = std::make_shared<std::decay_t<Callback>>(std::forward<Callback>(callback));
        detail::call_when_done(*pending_, [held = std::move(held), future = *this]() mutable {
            if constexpr (std::is_invocable_v<std::decay_t<Callback>&, Future&>)
                std::invoke(*held, future);
            else
                std::invoke(*held);
        });
    }

    /// `R r = co_await future;` in a coroutine of any type: suspends it until this is done and resumes it on the thread
    /// described above, or goes on at once when it is done already. Throws as get() does.
    class Awaiter {
      public:
        explicit Awaiter(Future future) : future_(std::move(future)) {}
        bool await_ready() const { return future_.done(); }
        void await_suspend(std::coroutine_handle<> coroutine) const {
            // The coroutine, and this object in it, may be gone before the call below returns.
            const auto pending = future_.pending_;
            detail::call_when_done(*pending, [coroutine] { coroutine.resume(); });
        }
        R await_resume() const { return future_.get(); }

      private:
        Future future_;
    };
    /// What `co_await` of a future waits with.
    Awaiter operator co_await() const { return Awaiter(*this); }

  private:
    std::shared_ptr<detail::Pending> pending_;
    R (*value_)(detail::Pending&) = nullptr;
};

}  // namespace mp
