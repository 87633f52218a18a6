// The caller's side of a pool: its ledger, its workers and the thread that watches over them.
//
// Whoever waits does the work: a caller in get() or map() takes results out of the lanes and hands out more tasks, under
// the lock. The pool's own thread does that when nobody waits, and buries and replaces workers that died.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <multiprocessing/pool.hpp>

#include "base/ring.hpp"
#include "os/mapping.hpp"
#include "os/memory.hpp"
#include "os/own_pid.hpp"
#include "pool/admission.hpp"
#include "pool/callable_table.hpp"
#include "pool/callback_thread.hpp"
#include "pool/globals_check.hpp"
#include "pool/heap.hpp"
#include "pool/insight.hpp"
#include "pool/interrupt.hpp"
#include "pool/job.hpp"
#include "pool/kept_places.hpp"
#include "os/memory_limit.hpp"
#include "pool/lane.hpp"
#include "pool/last_words.hpp"
#include "pool/output_relay.hpp"
#include "pool/life_counters.hpp"
#include "pool/restart_intensity.hpp"
#include "pool/schedule.hpp"
#include "pool/stop_ladder.hpp"
#include "pool/task.hpp"
#include "pool/task_memory.hpp"
#include "pool/worker.hpp"
#include "process/launch.hpp"

namespace mp::detail {

class PoolCore final : public Engine, public trace::Source {
  public:
    explicit PoolCore(PoolOptions options);
    ~PoolCore() override;

    /// Starts the workers; throws when the system refuses, with none left. In a copy of the program whose static
    /// initialisers make a pool it does nothing: the pool starts with its first use, in the process that uses it.
    void start();

    std::shared_ptr<PreparedCallable> prepare(const CallableSpec& spec) override;
    void unprepare(std::shared_ptr<pool::Callable> callable);
    std::shared_ptr<PendingTask> submit(const TaskSpec& spec) override;
    bool wait(PoolTask& task, base::Deadline deadline);
    bool cancel(PoolTask& task);
    bool notify(PoolTask& task, std::shared_ptr<Completion> completion, bool watched);

    std::unique_ptr<InputMemory> input_memory(std::uint64_t size) override;
    int copying_threads(std::uint64_t bytes) const override;
    /// Of a map that is over: all its encoded results.
    std::uint64_t encoded_bytes(const pool::Job& job) const;
    std::shared_ptr<PendingMap> map(const MapSpec& spec) override;
    void give_up(std::uint64_t input_memory);
    bool wait(pool::Job& job, base::Deadline deadline);
    /// What has not begun of it is not begun any more, and what runs is stopped. False when it was over.
    bool cancel(const std::shared_ptr<pool::Job>& job);
    bool notify(pool::Job& job, std::shared_ptr<Completion> completion, bool watched);
    void release(const std::shared_ptr<pool::Job>& job);
    const std::byte* results(const pool::Job& job) const;
    std::span<const std::byte> encoded_result(const pool::Job& job, std::uint64_t index) const;
    bool has_value(const pool::Job& job, std::uint64_t index) const;

    bool help(const std::function<bool()>& done, double seconds) override;
    std::size_t useful_window() const override;
    void settle() override {
        if (relay_) relay_->settle();
    }
    CallbackThread& callbacks() override { return callbacks_; }
    void forget(pool::Watchers& watchers, const Completion& completion);

    void close() override;
    void join() override;
    void terminate() override;
    void leave(bool unwinding) override;
    /// What the elements of a map that was stopped end with, or all of it.
    std::exception_ptr stop_error(const pool::Job& job, std::optional<std::uint64_t> position) const;
    /// Cancels what has not begun.
    void cancel_waiting();

    /// Whether this process started it.
    bool is_mine() const { return started_.load(std::memory_order_acquire) && owner_ == os::own_pid(); }
    int workers() const override { return static_cast<int>(workers_.size()); }
    std::vector<pid_t> pids() override;
    /// What each worker's place has seen so far.
    std::vector<pool::LifeCounters> life() const;
    PoolStats stats() override;
    /// Of a map that goes on.
    MapProgress progress(const pool::Job& job);

  private:
    using Lock = std::unique_lock<std::mutex>;
    using Clock = std::chrono::steady_clock;
    using Limits = PoolTask::ByTime;

    // What was put into a lane and not yet answered, in order.
    struct Definition {
        std::uint64_t block = 0;             // freed when a later frame is answered
        std::chrono::nanoseconds limit = forever;  // that of the work which asked for it
        pool::CallableId callable{};
    };
    struct Sent {
        std::uint64_t number = 0;
        PoolTask* task = nullptr;
        std::byte* place = nullptr;          // of the frame in the lane, and its position there
        std::uint64_t position = 0;
        std::shared_ptr<pool::Job> job{};
        std::unique_ptr<Definition> definition{};  // of a define alone

        bool needs(const pool::CallableId& one) const {
            return (task && task->callable->id() == one) || (job && job->callable->id() == one);
        }
    };
    // What the lane had no room for.
    struct Queued {
        pool::TaskFrameKind kind{};
        std::shared_ptr<pool::Job> job{};
        std::uint64_t job_at = 0;
        std::uint64_t round_at = 0;
        std::uint32_t callable = 0;          // forget_callable
        std::uint64_t generation = 0;        // of that number
    };
    // Why a task is stopped in the midst of its run, and how far that is.
    struct Stopping {
        enum class Why : std::uint8_t { task_timeout, call_timeout, cancelled, unresponsive };
        Why why{};
        std::uint64_t number = 0;            // of the frame; 0: it is over, but the process has been sent a signal
        std::uint64_t element = pool::none;  // of a map: this one; none: whichever runs, the whole map is stopped
        std::chrono::nanoseconds limit{};
        pool::StopProgress ladder;
        bool sampled = false;                // its stack was looked at, or need not be
        bool asked = false;                  // its stop token says so
        bool signalled = false;
        Stack stack{};
    };
    struct Worker {
        std::shared_ptr<process::Child> child;  // null while it is being replaced
        std::shared_ptr<pool::LaneMemory> lane;
        std::uint64_t lane_number = 0;
        std::shared_ptr<process::Forkserver> snapshot;  // what it was forked from; method fork only
        os::UniqueFd socket;
        std::uint64_t output = 0;               // of the relay; 0: none
        std::optional<os::MemoryGroup> memory_group{};
        pool::LastWords last_words{};           // once it is dead
        transport::FrameWriter tasks;
        transport::FrameReader results;
        std::uint64_t next_number = 1;
        std::uint64_t generation = 0;           // of the callables it knows
        std::vector<bool> knows;
        base::Ring<Sent> sent;
        std::deque<Queued> queued;
        std::uint64_t answered = 0;             // frame whose result was taken last
        std::uint64_t answered_before = 0;      // the same when rebalance() looked last
        std::optional<Stopping> stopping{};     // while it lasts, the worker has nothing else and gets nothing
        std::uint64_t unbegun = 0;              // frame of a task with a limit that it should have begun, and since when
        Clock::time_point unbegun_since{};
        bool stalled = false;                   // busy with one task for long: gets no more until it answers
        bool ready = false;                     // its initializer has run
        bool stop_sent = false;
        std::uint64_t freed = 0;                // of its ring of results, since it was last told
        bool broken = false;                    // it wrote what no worker writes
    };

    // A process that will not work any more but has not gone: it writes its core, or is being taken down.
    struct Leaving {
        std::size_t place = 0;
        std::shared_ptr<process::Child> child;
        std::optional<os::MemoryGroup> memory_group;  // goes after it, since that kills what is left
    };

    void require_usable(const Lock&) const;
    void require_owner();
    pool::SegmentHeader& segment_header() const { return *reinterpret_cast<pool::SegmentHeader*>(segment_.data()); }
    std::uint64_t allocate(const Lock&, std::uint64_t size, const char* what);
    void forget(const Lock& lock, std::shared_ptr<pool::Callable> callable);

    // Results in, tasks out.
    bool work_until(const std::function<bool(const Lock&)>& done, base::Deadline deadline);
    void pump(const Lock& lock);
    void make_room(const Lock& lock);
    void take_results(const Lock& lock, std::size_t index);
    void take_result(const Lock& lock, std::size_t index, const pool::ResultFrame& frame, std::span<const std::byte> payload);
    std::vector<serial::Handle> take_handles(Worker& worker, std::size_t count);
    void hand_out(const Lock& lock);
    bool send_task(const Lock& lock, std::size_t index, PoolTask& task, bool notify);
    void name_output(const Lock& lock, const Worker& worker, const pool::Callable& callable, const std::string& label);
    bool flush_queued(const Lock& lock, Worker& worker);
    bool take_back(Worker& worker, const Sent& sent);
    int rebalance(const Lock& lock);
    bool define(const Lock& lock, Worker& worker, pool::Callable& callable, std::chrono::nanoseconds limit);
    Sent* put(const Lock& lock, Worker& worker, const pool::TaskFrame& frame, std::span<const std::byte> payload);
    bool send_handles(Worker& worker, std::span<const serial::Handle> handles);
    void finish(const Lock& lock, PoolTask& task, pool::TaskBytes result);
    void fail(const Lock& lock, PoolTask& task, std::exception_ptr error);
    // Failures: the end, or another attempt.
    void task_failed(const Lock& lock, PoolTask& task, std::size_t index, std::exception_ptr error, pool::FailureKind kind);
    void try_again(PoolTask& task);
    void try_again(pool::Job& job, std::uint64_t element);
    struct Question {
        std::shared_ptr<PoolTask> task;  // this, or an element of a map
        std::shared_ptr<pool::Job> job;
        std::uint64_t element;
        std::exception_ptr error;
    };
    void ask(Question question);
    void answer_questions();
    std::vector<PoolTask*> waiting_tasks(const Lock&);

    // Limits of time, and the stopping of what runs.
    void expect_look(Clock::time_point when);
    void look(const Lock& lock);
    Clock::time_point look_at(const Lock& lock, std::size_t index, Clock::time_point now);
    bool take_away(const Lock&, PoolTask& task);
    void give_up_making(Worker& worker, const pool::Callable& callable);
    bool end_early(const Lock& lock, PoolTask& task, Stopping::Why why);
    bool stop_running(const Lock& lock, std::size_t index, std::uint64_t number, std::uint64_t element, Stopping::Why why,
                      std::chrono::nanoseconds limit);
    bool stop(const Lock& lock, const std::shared_ptr<pool::Job>& job, pool::Job::Stopped reason);
    static void climb(Worker& worker, Clock::time_point now);
    void sample_stacks();
    void settle(const Lock& lock, std::size_t index);
    bool takes_part(const pool::Job& job, const Worker& worker) const {
        return worker.lane && !worker.stop_sent && !worker.stopping && (!job.worker || &worker == &workers_[*job.worker]);
    }
    std::exception_ptr stop_error(const Worker& worker, const TaskInfo& task) const;

    TaskInfo info(const PoolTask& task) const;
    TaskInfo info(const pool::Job& job, std::uint64_t element) const;

    // Maps.
    void begin_round(const Lock& lock, const std::shared_ptr<pool::Job>& job, std::span<const std::uint64_t> elements, bool all);
    void send_round(const Lock& lock, const std::shared_ptr<pool::Job>& job, Worker& worker);
    void left(const Lock& lock, const std::shared_ptr<pool::Job>& job);
    void excuse(const Lock& lock, pool::Job& job);
    void give_up(const Lock& lock, pool::Job& job, std::exception_ptr reason);
    // Of maps, failures and states are told by position.
    void element_failed(const Lock& lock, const std::shared_ptr<pool::Job>& job, std::size_t index, std::uint64_t position,
                        std::exception_ptr error, pool::FailureKind kind);
    void leave_unclaimed(pool::Job& job);
    bool is_open(const pool::Job& job, std::uint64_t element) const;
    void conclude(const Lock& lock, const std::shared_ptr<pool::Job>& job);
    void end(const Lock& lock, pool::Job& job);
    void release(const Lock& lock, pool::Job& job);
    void let_go_of_callable(const Lock& lock, pool::Job& job);
    std::atomic<std::uint8_t>* states(const pool::Job& job) const;

    // Life and death of workers.
    void flush(trace::Recorder& recorder) override;
    void look_around(const Lock& lock);
    void watch();
    Worker launch(std::size_t index);
    pool::WorkerStart describe(std::size_t index, const Worker& worker) const;
    void install(const Lock& lock, std::size_t index, Worker worker);
    bool replace_dead();
    void take_snapshot();
    void renew_snapshot(const Lock& lock);
    std::optional<ExitStatus> ending(const Lock&, std::size_t index) const;
    void bury(const Lock& lock, std::size_t index, ExitStatus status, bool ending);
    bool blame(const Lock& lock, Worker& worker, std::size_t index, const ExitStatus& status);
    int most_failed_starts() const;
    void count_death(const Lock& lock, const Worker& worker, const ExitStatus& status, bool in_task);
    void send_stop(const Lock& lock, Worker& worker);
    void abandon_all(const Lock& lock, const std::function<std::exception_ptr(const TaskInfo&)>& reason);
    void break_pool(const Lock& lock, const std::string& cause);
    void end_threads();
    // Shortage of memory.
    void expect_memory_look();
    void look_at_memory();
    void pause_admission(const Lock&);
    void resume_admission(const Lock& lock);

    // Ctrl-C.
    [[noreturn]] void end_by_interrupt();
    std::vector<std::size_t> busy_workers(const Lock&);

    void wake_watch();
    void wake_callers();
    void expect_any(const Lock& lock, int change);
    bool let_results_gather(const std::function<bool()>& done, base::Deadline deadline);
    bool anything_left(const Lock&) const {
        return schedule_.waiting() + schedule_.assigned() + delayed_.size() + questions_.size() > 0 || asking_ || !jobs_.empty();
    }

    const PoolOptions options_;
    const pool::CallTerms terms_;
    const StartMethod method_;
    std::mutex starting_;                            // one start() at a time
    std::atomic<bool> started_{false};
    pid_t owner_ = 0;                                // set by start(), as what follows
    os::UniqueFd segment_file_;
    os::Mapping segment_;
    os::UniqueFd nudge_;
    std::optional<pool::InterruptWatch> interrupts_; // until the pool's own thread ends
    std::unique_ptr<pool::OutputRelay> relay_;       // none with Output::inherit; none of its locks is held under mutex_ for long

    mutable std::mutex mutex_;                       // guards what follows
    std::shared_ptr<process::Forkserver> snapshot_;  // for method fork: made with the pool, and when it has become too old
    std::uint64_t names_in_snapshot_ = 0;            // of generated code
    pool::Heap heap_;
    pool::Schedule schedule_;
    std::atomic<std::size_t> window_{schedule_.window()};  // the same, for who does not hold the lock
    std::vector<Worker> workers_;
    std::vector<Leaving> leaving_;                   // buried already
    std::vector<std::shared_ptr<pool::Job>> jobs_;
    pool::CallableTable callables_;
    pool::KeptPlaces places_;
    pool::Insight insight_;
    pool::GlobalsCheck globals_;
    std::uint64_t next_lane_ = 1;
    std::size_t waiting_callers_ = 0;
    std::size_t look_next_ = 0;                      // the lane that make_room() looked at last
    bool frames_wait_ = false;                       // some lane may not have had room for what is queued
    int awaiting_any_ = 0;                           // callers that want to know of each result
    std::vector<pool::LifeCounters> life_;
    struct CloseMemory {
        void operator()(pool::TaskMemory* memory) const noexcept { memory->close(); }
    };
    std::unique_ptr<pool::TaskMemory, CloseMemory> task_memory_{new pool::TaskMemory};
    Limits limits_;                                  // tasks whose call has a timeout, by when it is up
    Limits delayed_;                                 // tasks that wait for another attempt
    std::deque<Question> questions_;                 // what Retries::when is to decide
    bool asking_ = false;                            // one more is with the pool's own thread
    Clock::time_point next_look_ = Clock::time_point::max();  // when the pool's own thread will look at limits
    pool::Admission admission_;
    Clock::time_point memory_look_ = Clock::time_point::max();  // when memory is looked at; not while nothing waits
    pool::RestartMeter restarts_, task_deaths_;
    int failed_starts_ = 0;                          // in a row, without a worker that came up
    bool rebalancing_ = false;                       // the pool's own thread looks now and then
    bool closed_ = false;
    bool stopping_ = false;                          // nothing is left to do: workers are not replaced
    bool terminated_ = false;
    std::string broken_;                             // why the pool cannot go on
    os::OomCounters oom_;                            // as they stood when nobody had been killed since
    std::mutex ending_;                              // one join() of the thread at a time; never taken under mutex_
    std::thread watch_;
    CallbackThread callbacks_;
};

}  // namespace mp::detail
