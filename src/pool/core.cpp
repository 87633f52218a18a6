// Submitting and waiting: the way of a task from the caller into a lane, and of its result back.
#include "pool/core.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <multiprocessing/errors.hpp>

#include "os/log.hpp"
#include "os/memory.hpp"

namespace mp::detail {

using pool::Callable;
using pool::Job;
using pool::TaskFrameKind;

namespace {

int worker_count_of(const PoolOptions& options) {
    const int count = options.workers.value_or(static_cast<int>(cpu_count()));
    if (count < 1) throw std::invalid_argument("a pool needs at least 1 worker, not " + std::to_string(count));
    return count;
}

// Left out: as many as there are.
std::size_t most_deaths(const std::optional<int>& most) {
    if (!most) return ~std::size_t(0);
    if (*most < 0) throw std::invalid_argument("a restart intensity must be at least 0, not " + std::to_string(*most));
    return static_cast<std::size_t>(*most);
}

}  // namespace

PoolCore::PoolCore(PoolOptions options)
    : options_(std::move(options)),
      terms_(pool::terms_of(options_)),
      method_(options_.start_method.value_or(get_start_method())),
      heap_(0, 0),
      schedule_(static_cast<std::size_t>(worker_count_of(options_))),
      workers_(schedule_.workers()),
      life_(schedule_.workers()),
      restarts_(most_deaths(options_.restart_intensity.restarts), options_.restart_intensity.within.nanoseconds()),
      task_deaths_(most_deaths(options_.restart_intensity.in_tasks), options_.restart_intensity.within.nanoseconds()),
      callbacks_(*this, options_.name) {
    if (options_.memory_limit && *options_.memory_limit == 0)
        throw std::invalid_argument("memory_limit must be at least 1 byte");
    if (options_.max_tasks_per_worker && *options_.max_tasks_per_worker < 1)
        throw std::invalid_argument("max_tasks_per_worker must be at least 1, not " +
                                    std::to_string(*options_.max_tasks_per_worker));
    if (options_.max_worker_growth == 0U) throw std::invalid_argument("max_worker_growth must be more than 0");
    if (options_.max_worker_age && options_.max_worker_age->nanoseconds().count() == 0)
        throw std::invalid_argument("max_worker_age must be more than 0");
}

PoolCore::~PoolCore() {
    // In a fork of the owner the thread does not exist, and must not be waited for.
    if (owner_ == os::own_pid()) return;
    if (watch_.joinable()) watch_.detach();
    if (relay_) relay_->abandon();
}

void PoolCore::require_owner() {
    start();
    if (owner_ != os::own_pid())
        throw Error("pool \"" + options_.name + "\" belongs to process " + std::to_string(owner_) +
                    ", of which this one is a fork: make a pool of its own here");
}

void PoolCore::require_usable(const Lock&) const {
    if (!broken_.empty()) throw PoolBroken("pool \"" + options_.name + "\" is broken: " + broken_);
    if (closed_) throw Error("pool \"" + options_.name + "\" is closed: nothing more can be submitted");
}

std::uint64_t PoolCore::allocate(const Lock&, std::uint64_t size, const char* what) {
    // The kernel kills when memory runs out, instead of refusing: so look first, where it matters.
    constexpr std::uint64_t checked_from = 16 << 20;
    constexpr std::uint64_t reserve = 64 << 20;
    const bool fits = size < checked_from || (size < ~reserve && size + reserve <= os::available_memory());
    const auto place = fits ? heap_.allocate(size) : std::nullopt;
    if (!place)
        throw SystemError(base::error_of(ENOMEM), "cannot hold " + std::to_string(size) + " bytes of " + what +
                                                      " for pool \"" + options_.name + '"');
    return *place;
}

namespace {

struct PoolPrepared final : PreparedCallable {
    ~PoolPrepared() override { core->unprepare(std::move(callable)); }
    std::shared_ptr<PoolCore> core;
    std::shared_ptr<Callable> callable;
};

}  // namespace

std::shared_ptr<PreparedCallable> PoolCore::prepare(const CallableSpec& spec) {
    require_owner();
    auto prepared = std::make_shared<PoolPrepared>();
    prepared->core = std::static_pointer_cast<PoolCore>(shared_from_this());
    Lock lock(mutex_);
    prepared->callable = callables_.intern(spec);
    return prepared;
}

void PoolCore::unprepare(std::shared_ptr<Callable> callable) {
    if (!is_mine()) return;
    Lock lock(mutex_);
    forget(lock, std::move(callable));
}

std::shared_ptr<PendingTask> PoolCore::submit(const TaskSpec& spec) {
    require_owner();
    const serial::Writer& arguments = *spec.arguments;
    const std::uint64_t size = arguments.bytes().size();
    std::unique_ptr<const pool::CallTerms> own_terms;
    if (!pool::says_nothing(*spec.options))
        own_terms = std::make_unique<const pool::CallTerms>(pool::terms_of(*spec.options, terms_));
    const pool::CallTerms& terms = own_terms ? *own_terms : terms_;
    const bool limited = terms.timeout != forever;
    const auto limit = limited ? Clock::now() + terms.timeout : Clock::time_point::max();
    Lock lock(mutex_);
    require_usable(lock);
    auto task = std::allocate_shared<PoolTask>(pool::TaskAllocator<PoolTask>(*task_memory_));
    task->pool = std::static_pointer_cast<PoolCore>(shared_from_this());
    task->terms = &terms;
    if (own_terms) [[unlikely]] task->rarely().terms = std::move(own_terms);
    if (!arguments.handles().empty()) [[unlikely]]
        task->rarely().handles.assign(arguments.handles().begin(), arguments.handles().end());
    if (spec.index) task->index = *spec.index;
    task->call = spec.call;
    task->callable = spec.prepared ? static_cast<PoolPrepared&>(**spec.prepared).callable : callables_.intern(spec.callable);
    task->label_number = insight_.label(*task->callable, terms.label);
    renew_snapshot(lock);
    if (size > pool::max_inline) {
        const std::uint64_t at = allocate(lock, size, "arguments");
        task->bytes_ = pool::TaskBytes(at, size);
        // Nobody else knows the place yet; copying is not done under the lock.
        lock.unlock();
        std::memcpy(segment_.data() + at, arguments.bytes().data(), size);
        lock.lock();
        try {
            require_usable(lock);
        } catch (...) {
            heap_.free(at);
            throw;
        }
    } else {
        task->bytes_ = pool::TaskBytes(arguments.bytes());
    }
    task->self = task;
    if (limited) [[unlikely]] {
        task->rarely().limit = limits_.emplace(limit, task.get());
        task->rarely().limited = true;
        expect_look(limit);
    }
    if (spec.completion) task->watchers.add(spec.completion);
    insight_.submitted();
    globals_.used(options_.name);
    if (os::logs(LogLevel::debug)) [[unlikely]]
        os::LogLine(LogLevel::debug, "task.submitted").add("pool", options_.name).add("task", info(*task).to_string());
    schedule_.submit(reinterpret_cast<std::uintptr_t>(task.get()));
    if (!schedule_.room()) make_room(lock);
    hand_out(lock);
    return task;
}

// The caller does the pool's work while it waits: takes results out of the lanes and hands out tasks.
bool PoolCore::work_until(const std::function<bool(const Lock&)>& done, base::Deadline deadline) {
    {
        Lock lock(mutex_);
        ++waiting_callers_;
    }
    const bool in_time = shm::wait_until<shm::Ordering::fenced>(
        segment_header().caller_wake,
        [&] {
            Lock lock(mutex_);
            pump(lock);
            return done(lock);
        },
        deadline, shm::thread_patience(), [] { return true; });
    {
        Lock lock(mutex_);
        --waiting_callers_;
        hand_out(lock);
    }
    if (in_time) settle();
    return in_time;
}

bool PoolCore::wait(PoolTask& task, base::Deadline deadline) {
    if (task.done()) return settle(), true;
    require_owner();
    return work_until(
        [&](const Lock&) {
            if (task.done()) return true;
            // The worker is told which task is waited for, and wakes nobody for those before it.
            if (task.state.load(std::memory_order_relaxed) == PoolTask::State::sent)
                if (auto& worker = workers_[task.worker]; worker.lane) {
                    auto& awaited = worker.lane->header().awaited;
                    if (task.number < awaited.load(std::memory_order_relaxed))
                        awaited.store(task.number, std::memory_order_relaxed);
                }
            return false;
        },
        deadline);
}

// Results are taken when all workers have as much as they may have, or by whoever waits: not for each task that is
// submitted, and not from all lanes, of which there may be hundreds. A lane has many when it has any.
void PoolCore::make_room(const Lock& lock) {
    constexpr std::size_t looks = 8;
    for (std::size_t i = 0; i < std::min(looks, workers_.size()) && !schedule_.room(); ++i) {
        look_next_ = (look_next_ + 1) % workers_.size();
        if (!workers_[look_next_].sent.empty() || !workers_[look_next_].ready) take_results(lock, look_next_);
    }
}

void PoolCore::pump(const Lock& lock) {
    if (insight_.session_changed()) [[unlikely]] look_around(lock);
    for (std::size_t i = 0; i < workers_.size(); ++i)
        if (!workers_[i].sent.empty() || !workers_[i].ready) take_results(lock, i);
    hand_out(lock);
    insight_.queue(schedule_.waiting());
}

// No call will use it again: workers that hold it, and perhaps a large table bound to it, need it no longer.
void PoolCore::forget(const Lock& lock, std::shared_ptr<Callable> callable) {
    if (!callable || callable->shared || callable.use_count() > 1) return;
    for (auto& worker : workers_) {
        if (!worker.lane || worker.stop_sent || worker.generation != callable->generation) continue;
        if (callable->number >= worker.knows.size() || !worker.knows[callable->number]) continue;
        worker.knows[callable->number] = false;
        worker.queued.push_back({.kind = TaskFrameKind::forget_callable, .callable = callable->number,
                                 .generation = callable->generation});
        flush_queued(lock, worker);
    }
}

void PoolCore::finish(const Lock& lock, PoolTask& task, pool::TaskBytes result) {
    if (os::logs(LogLevel::debug)) [[unlikely]]
        os::LogLine(LogLevel::debug, task.failure() ? "task.failed" : "task.done").add("pool", options_.name).add("task", info(task).to_string());
    if (task.rare) [[unlikely]] {
        if (task.rare->limited) limits_.erase(task.rare->limit);
        if (task.place == PoolTask::Place::delayed) delayed_.erase(task.rare->again);
        task.rare->limited = false;
        task.place = PoolTask::Place::schedule;
        task.rare->handles.clear();
    }
    if (const auto at = task.bytes_.segment_at()) heap_.free(at);
    task.bytes_ = std::move(result);
    forget(lock, std::move(task.callable));
    // The ledger's hold on the task.
    const auto self = std::move(task.self);
    task.state.store(PoolTask::State::done, std::memory_order_release);
    if (!task.watchers.empty()) {
        task.watchers.tell();
        wake_callers();
    } else if (waiting_callers_ > 1) {
        wake_callers();
    }
}

void PoolCore::fail(const Lock& lock, PoolTask& task, std::exception_ptr error) {
    task.rarely().error = std::move(error);
    finish(lock, task, {});
    if (waiting_callers_ > 0) wake_callers();
}

void PoolCore::wake_callers() { shm::notify<shm::Ordering::fenced>(segment_header().caller_wake); }

TaskInfo PoolCore::info(const PoolTask& task) const {
    return {.function = task.callable->name(), .index = task.index == PoolTask::no_index ? std::nullopt : std::optional(task.index), .label = task.terms->label, .attempt = task.failures().attempt()};
}

TaskInfo PoolCore::info(const Job& job, std::uint64_t element) const {
    return {.function = job.callable->name(), .index = element, .label = job.terms.label, .attempt = job.attempt(element / job.group)};
}

void PoolCore::hand_out(const Lock& lock) {
    if (std::exchange(frames_wait_, false))
        for (auto& worker : workers_)
            if (!worker.queued.empty()) flush_queued(lock, worker);
    // Short of memory: one at a time.
    const auto admitted = [&] { return admission_.open() || schedule_.assigned() == 0; };
    while (const auto assignment = admitted() ? schedule_.next() : std::nullopt) {
        auto& task = *reinterpret_cast<PoolTask*>(assignment->task);
        insight_.assigning(schedule_.assigned());
        bool sent = false;
        try {
            sent = send_task(lock, assignment->worker, task, assignment->notify);
        } catch (...) {
            // It cannot be sent to anybody: no memory for its callable, no descriptors for its handles.
            schedule_.undo(*assignment);
            schedule_.cancel(assignment->task);
            fail(lock, task, std::current_exception());
            continue;
        }
        if (!sent) {
            schedule_.undo(*assignment);
            break;
        }
    }
    insight_.publish(schedule_.waiting(), schedule_.assigned());
    if (schedule_.waiting() > 0) expect_memory_look();
    // With nobody waiting, a worker that runs dry calls the pool's own thread. One that ran dry a moment ago did not see
    // that it should: so the look at the results comes after the store, as the worker's look at `nudge` after its results.
    auto& nudge = segment_header().nudge;
    if (schedule_.waiting() > 0 && waiting_callers_ == 0 && nudge.load(std::memory_order_relaxed) == 0) {
        nudge.store(1, std::memory_order_relaxed);
        shm::order_publish<shm::Ordering::fenced>();
        if (std::ranges::any_of(workers_, [](const Worker& worker) { return worker.lane && worker.results.ready(); }))
            wake_watch();
    }
    if (!rebalancing_ && schedule_.assigned() > 1) {
        rebalancing_ = true;
        wake_watch();
    }
}

// Tasks that wait behind one that takes long are given to workers that have nothing to do. Returns after how many
// milliseconds to look again; -1: not before there is more than one task under way.
int PoolCore::rebalance(const Lock& lock) {
    rebalancing_ = schedule_.assigned() > 1;
    if (!rebalancing_) return -1;
    if (!schedule_.imbalanced()) return 10;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        Worker& worker = workers_[i];
        const bool stuck = worker.lane && worker.answered == worker.answered_before && schedule_.assigned(i) > 1;
        worker.answered_before = worker.answered;
        if (!stuck) continue;
        for (auto sent = worker.sent.rbegin(); sent != worker.sent.rend() && schedule_.assigned(i) > 1; ++sent) {
            if (!sent->task) continue;
            // Descriptors are on their way to this worker; and what has begun, all before it have.
            if (sent->task->has_handles() || !take_back(worker, *sent)) break;
            schedule_.withdraw(i, reinterpret_cast<std::uintptr_t>(sent->task));
            sent->task->state.store(PoolTask::State::pending, std::memory_order_relaxed);
            sent->task = nullptr;
        }
        worker.stalled = true;
        schedule_.close(i);
    }
    hand_out(lock);
    return 1;
}

// Takes all tasks that nobody runs out of the ledger's lists.
std::vector<PoolTask*> PoolCore::waiting_tasks(const Lock&) {
    std::vector<PoolTask*> tasks;
    for (const auto id : schedule_.cancel_waiting()) tasks.push_back(reinterpret_cast<PoolTask*>(id));
    for (const auto& [due, task] : delayed_) tasks.push_back(task);
    for (const Question& question : questions_)
        if (question.task && !question.task->done()) tasks.push_back(question.task.get());
    return tasks;
}

void PoolCore::cancel_waiting() {
    Lock lock(mutex_);
    for (PoolTask* task : waiting_tasks(lock))
        fail(lock, *task, std::make_exception_ptr(TaskCancelled(info(*task), "the pool is being left by an exception")));
}

}  // namespace mp::detail
