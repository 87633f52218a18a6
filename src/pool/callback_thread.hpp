// The thread on which a pool runs what users want run when something is done: callbacks and coroutines.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include <multiprocessing/detail/engine.hpp>

namespace mp::detail {

/// Started by the first call that needs it. While completions are expected it takes part in the engine's work, so that
/// they are noticed although nobody waits; the engine's members are then called from here, and must outlive finish().
class CallbackThread {
  public:
    /// `name`: of the pool, for messages.
    CallbackThread(Engine& engine, std::string name) : engine_(engine), name_(std::move(name)) {}
    ~CallbackThread();
    CallbackThread(const CallbackThread&) = delete;
    CallbackThread& operator=(const CallbackThread&) = delete;

    /// One more completion is expected, or one of them has come. May be called with the engine's lock held.
    void expect();
    void came();

    /// Runs it on this thread, in the order of the calls. May be called with the engine's lock held. After finish() it
    /// runs in the calling thread instead.
    void post(std::function<void()> call);

    /// Runs what was posted and ends the thread; from within one of its calls, it ends later by itself.
    void finish();

  private:
    void start();
    void run();
    void call_one(const std::function<void()>& call) const noexcept;

    Engine& engine_;
    const std::string name_;
    std::mutex mutex_;  // guards what follows; taken under the engine's lock, never the other way round
    std::condition_variable news_;
    std::deque<std::function<void()>> posted_;
    std::atomic<std::size_t> expected_{0};
    std::atomic<bool> anything_{false};  // posted, or finishing: read without the lock by the engine's look at `done`
    bool finishing_ = false;
    bool finished_ = false;
    pid_t owner_ = 0;
    std::thread thread_;
};

}  // namespace mp::detail
