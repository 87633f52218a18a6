#include "pool/callback_thread.hpp"

#include <pthread.h>

#include <cstdio>
#include <exception>
#include <optional>

#include <multiprocessing/outcome.hpp>

#include "os/library_thread.hpp"
#include "os/own_pid.hpp"
#include "os/threads.hpp"

namespace mp::detail {

CallbackThread::~CallbackThread() {
    if (!thread_.joinable()) return;
    // In a fork of the owner the thread does not exist; and a last owner may let go in one of its own calls.
    if (owner_ != os::own_pid() || thread_.get_id() == std::this_thread::get_id())
        thread_.detach();
    else
        finish();
}

void CallbackThread::start() {
    if (thread_.joinable()) return;
    owner_ = os::own_pid();
    // The engine lives on while a call of its own lets go of it.
    thread_ = os::start_library_thread("cannot start the thread of the callbacks of pool \"" + name_ + '"',
                                       [this, engine = engine_.shared_from_this()] { run(); });
}

void CallbackThread::expect() {
    const std::scoped_lock hold(mutex_);
    if (!finished_) start();
    expected_.fetch_add(1, std::memory_order_relaxed);
    news_.notify_one();
}

void CallbackThread::came() { expected_.fetch_sub(1, std::memory_order_relaxed); }

void CallbackThread::post(std::function<void()> call) {
    {
        const std::scoped_lock hold(mutex_);
        if (!finished_) {
            start();
            posted_.push_back(std::move(call));
            anything_.store(true, std::memory_order_relaxed);
            news_.notify_one();
            return;
        }
    }
    call_one(call);
}

void CallbackThread::run() {
    ::pthread_setname_np(::pthread_self(), "mp-callbacks");
    // Between calls it is the library's own.
    std::optional<os::IgnoredThread> idle(std::in_place);
    std::unique_lock lock(mutex_);
    while (true) {
        if (!posted_.empty()) {
            auto call = std::move(posted_.front());
            posted_.pop_front();
            anything_.store(!posted_.empty() || finishing_, std::memory_order_relaxed);
            lock.unlock();
            idle.reset();
            call_one(call);
            // What it holds may be the last of a map, or of the user's own, and take the engine's lock or this one.
            call = nullptr;
            idle.emplace();
            lock.lock();
        } else if (finishing_) {
            finished_ = true;
            return;
        } else if (expected_.load(std::memory_order_relaxed) > 0) {
            lock.unlock();
            engine_.help(
                [&] {
                    return anything_.load(std::memory_order_relaxed) || expected_.load(std::memory_order_relaxed) == 0;
                },
                -1);
            lock.lock();
        } else {
            news_.wait(lock);
        }
    }
}

void CallbackThread::call_one(const std::function<void()>& call) const noexcept {
    try {
        call();
    } catch (...) {
        const std::string text = Failure(std::current_exception()).to_string();
        std::fprintf(stderr, "multiprocessing: a callback of pool \"%s\" failed: %s\n", name_.c_str(), text.c_str());
    }
}

void CallbackThread::finish() {
    {
        const std::scoped_lock hold(mutex_);
        finishing_ = true;
        anything_.store(true, std::memory_order_relaxed);
        if (!thread_.joinable()) finished_ = true;
        news_.notify_one();
        if (finished_ && !thread_.joinable()) return;
        if (thread_.get_id() == std::this_thread::get_id()) return;
    }
    if (thread_.joinable()) thread_.join();
}

}  // namespace mp::detail
