// The engines that run tasks in this process: on threads, or in the calling thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <multiprocessing/pool.hpp>

#include "os/own_pid.hpp"
#include "pool/call_terms.hpp"
#include "pool/callback_thread.hpp"
#include "pool/local_insight.hpp"
#include "pool/map_progress.hpp"
#include "pool/task.hpp"
#include "pool/task_context.hpp"

namespace mp::detail {

struct LocalTask;
struct LocalMap;
struct LocalCallable;

/// The same records, the same bytes and the same errors as with processes: a callable is encoded once and made again by
/// each thread, arguments and results are encoded and decoded.
class LocalEngine final : public Engine {
  public:
    enum class Kind { inline_calls, threads };
    LocalEngine(PoolOptions options, Kind kind);
    ~LocalEngine() override;
    /// Apart from the constructor, since the threads hold on to the engine.
    void start();

    std::shared_ptr<PreparedCallable> prepare(const CallableSpec& spec) override;
    std::shared_ptr<PendingTask> submit(const TaskSpec& spec) override;
    std::shared_ptr<PendingMap> map(const MapSpec& spec) override;
    bool help(const std::function<bool()>& done, double seconds) override;
    std::size_t useful_window() const override;
    CallbackThread& callbacks() override { return callbacks_; }
    void close() override;
    void join() override;
    void terminate() override;
    void leave(bool unwinding) override;
    int workers() const override { return static_cast<int>(workers_.size()); }
    std::vector<pid_t> pids() override { return {os::own_pid()}; }
    PoolStats stats() override { return insight_->stats(); }

    // For what it was given to do.
    bool wait(const std::atomic<bool>& done, double seconds);
    bool cancel(LocalTask& task);
    bool cancel(LocalMap& map);
    MapProgress progress(LocalMap& map);
    bool notify(const std::atomic<bool>& done, pool::Watchers& watchers, std::shared_ptr<Completion> completion,
                bool watched);
    void forget(pool::Watchers& watchers, const Completion& completion);
    /// When what failed in this attempt is to be tried again; nothing: never. `number` names the chance of its delay.
    std::optional<std::chrono::steady_clock::time_point> next_attempt(const Retries& retries, int attempt,
                                                                      const std::exception_ptr& error,
                                                                      std::uint64_t number);

  private:
    using Lock = std::unique_lock<std::mutex>;
    using Clock = std::chrono::steady_clock;

    // A callable as one worker made it.
    struct Made {
        std::shared_ptr<LocalCallable> callable;
        void* object = nullptr;
        ~Made();
    };
    struct Worker {
        LocalEngine* engine = nullptr;
        pool::LocalInsight::Work* work = nullptr;
        pool::WorkerContext context;
        std::unordered_map<const LocalCallable*, Made> made;
        std::thread thread;
    };
    // A task, or one worker's share of a map.
    struct Item {
        std::shared_ptr<LocalTask> task;
        std::shared_ptr<LocalMap> map;
    };

    void require_usable(const Lock&) const;
    void require_owner() const;
    void require_possible(const CallOptions& options) const;
    std::shared_ptr<LocalCallable> take_in(const CallableSpec& spec);
    void initialize(Worker& worker);
    void run_worker(Worker& worker);
    void run(Worker& worker, Item item);
    std::optional<Clock::time_point> run_task(Worker& worker, LocalTask& task);
    void run_share(Worker& worker, LocalMap& map);
    void tell_progress(LocalMap& map);
    void* object_of(Worker& worker, const std::shared_ptr<LocalCallable>& callable);
    Worker* own_worker() const;
    std::deque<Item>::iterator next_for(const Worker& worker);
    std::deque<Item>::iterator last_for(const Worker& worker);
    bool may_take(const Worker& worker, const Item& item) const;
    bool may_try_again(const Lock&) const { return !terminated_ && broken_.empty(); }
    void show_queue(const Lock&) { insight_->queue(waiting_.size(), running_); }
    void take_due(const Lock&);
    void wait_for_news(Lock& lock, const Worker* worker, Clock::time_point end);
    bool wait_for(Lock& lock, const std::function<bool()>& done, double seconds);
    void finish(Lock& lock, LocalTask& task);
    void share_left(Lock& lock, const std::shared_ptr<LocalMap>& map);
    void begin_round(Lock& lock, const std::shared_ptr<LocalMap>& map);
    /// Ends what waits, also for its next attempt, with these errors.
    void fail_waiting(Lock& lock, const std::function<std::exception_ptr(const TaskInfo&)>& error_of);
    void cancel_waiting(Lock& lock, const char* reason);
    bool nothing_left() const { return waiting_.empty() && delayed_.empty() && running_ == 0; }
    void learn(std::uint64_t tasks, std::uint64_t nanoseconds);

    const PoolOptions options_;
    const pool::CallTerms terms_;
    const Kind kind_;
    const pid_t owner_ = os::own_pid();
    std::shared_ptr<pool::LocalInsight> insight_;
    mutable std::mutex mutex_;  // guards what follows
    std::unique_ptr<std::condition_variable> held_news_ = std::make_unique<std::condition_variable>();
    std::condition_variable& news_ = *held_news_;
    std::deque<Item> waiting_;  // for what is shown, a worker's share of a map is one
    std::multimap<Clock::time_point, Item> delayed_;  // what waits for another attempt, by when it is due; not inline
    std::size_t running_ = 0;                         // inline: with what waits for another attempt
    bool closed_ = false, stopping_ = false, terminated_ = false;
    std::string broken_;
    std::unordered_map<std::string, std::shared_ptr<LocalCallable>> callables_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::recursive_mutex asking_;  // Retries::when is asked one at a time
    std::recursive_mutex inline_;  // inline calls: one at a time, and from within one another
    std::atomic<std::uint64_t> mean_ns_{0};
    std::mutex ending_;
    CallbackThread callbacks_;
};

}  // namespace mp::detail
