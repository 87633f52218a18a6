// Submitting and waiting: the way of a task from the caller into a lane, and of its result back.
#include "pool/core.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <multiprocessing/errors.hpp>

#include "os/memory.hpp"
#include "os/socket.hpp"
#include "serial/exception_record.hpp"

namespace mp::detail {

using pool::Callable;
using pool::Job;
using pool::ResultFrame;
using pool::ResultFrameKind;
using pool::TaskFrame;
using pool::TaskFrameKind;

namespace {

int worker_count_of(const PoolOptions& options) {
    const int count = options.workers.value_or(static_cast<int>(cpu_count()));
    if (count < 1) throw std::invalid_argument("a pool needs at least 1 worker, not " + std::to_string(count));
    return count;
}

}  // namespace

PoolCore::PoolCore(PoolOptions options)
    : options_(std::move(options)),
      method_(options_.start_method.value_or(get_start_method())),
      heap_(0, 0),
      schedule_(static_cast<std::size_t>(worker_count_of(options_))),
      workers_(static_cast<std::size_t>(worker_count_of(options_))) {
    if (options_.max_tasks_per_worker && *options_.max_tasks_per_worker < 1)
        throw std::invalid_argument("max_tasks_per_worker must be at least 1, not " +
                                    std::to_string(*options_.max_tasks_per_worker));
}

PoolCore::~PoolCore() {
    // In a fork of the owner the thread does not exist, and must not be waited for.
    if (watch_.joinable() && owner_ != os::own_pid()) watch_.detach();
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

os::ModulePtr library_at(const void* address) {
    os::ModulePtr module = address ? os::module_at(address) : nullptr;
    return module && module->is_program ? nullptr : module;
}

// The addresses still mean what they did: no plugin has been unloaded, and another one loaded in its place.
bool still_loaded(const Callable& callable, const CallableSpec& spec) {
    return (!callable.entry_module || os::module_at(spec.entry) == callable.entry_module) &&
           (!callable.code_module || os::module_at(spec.code) == callable.code_module);
}

}  // namespace

// The same callable with the same state is sent to a worker only once.
std::shared_ptr<Callable> PoolCore::intern(const Lock&, const CallableSpec& spec) {
    constexpr std::size_t most = 1024;
    constexpr std::size_t largest_key = 256;
    if (spec.keyed && spec.entry == last_entry_ && std::ranges::equal(spec.key, last_key_) &&
        still_loaded(*last_callable_, spec))
        return last_callable_;
    std::string key(reinterpret_cast<const char*>(&spec.entry), sizeof spec.entry);
    key.append(reinterpret_cast<const char*>(spec.key.data()), spec.key.size());
    const bool shared = spec.keyed && key.size() <= largest_key;
    auto remember = [&](const std::shared_ptr<Callable>& callable) {
        last_entry_ = spec.entry;
        last_key_.assign(spec.key.begin(), spec.key.end());
        last_callable_ = callable;
        return callable;
    };
    if (shared)
        if (const auto found = callables_.find(key); found != callables_.end() && still_loaded(*found->second, spec))
            return remember(found->second);

    auto callable = std::make_shared<Callable>();
    callable->entry = identify(*spec.entry);
    serial::Writer writer;
    spec.encode(writer, spec.function);
    callable->state.assign(writer.bytes().begin(), writer.bytes().end());
    callable->handles.assign(writer.handles().begin(), writer.handles().end());
    callable->code = spec.code;
    callable->type = spec.type;
    if (next_callable_ >= most) {
        // Closures with ever new values: the workers start their tables anew.
        next_callable_ = 0;
        ++generation_;
        callables_.clear();
    }
    callable->number = next_callable_++;
    callable->generation = generation_;
    callable->shared = shared;
    callable->entry_module = library_at(spec.entry);
    callable->code_module = library_at(spec.code);
    if (!shared) return callable;
    callables_.insert_or_assign(std::move(key), callable);
    return remember(callable);
}

std::shared_ptr<PoolTask> PoolCore::submit(const CallableSpec& spec, const serial::Writer& arguments,
                                           const CallOptions& options) {
    require_owner();
    auto task = std::make_shared<PoolTask>();
    task->pool = shared_from_this();
    task->handles.assign(arguments.handles().begin(), arguments.handles().end());
    task->retries = options.retries.value_or(options_.retries);
    task->label = options.label;
    task->arguments_size = arguments.bytes().size();
    Lock lock(mutex_);
    require_usable(lock);
    task->callable = intern(lock, spec);
    if (task->arguments_size > pool::max_inline) {
        task->arguments_at = allocate(lock, task->arguments_size, "arguments");
        // Nobody else knows the place yet; copying is not done under the lock.
        lock.unlock();
        std::memcpy(segment_.data() + task->arguments_at, arguments.bytes().data(), task->arguments_size);
        lock.lock();
        try {
            require_usable(lock);
        } catch (...) {
            heap_.free(task->arguments_at);
            throw;
        }
    } else {
        task->arguments = base::SmallBytes(arguments.bytes());
    }
    task->self = task;
    schedule_.submit(reinterpret_cast<std::uintptr_t>(task.get()));
    pump(lock);
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
    Lock lock(mutex_);
    --waiting_callers_;
    hand_out(lock);
    return in_time;
}

bool PoolCore::wait(PoolTask& task, base::Deadline deadline) {
    if (task.done()) return true;
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

bool PoolCore::cancel(PoolTask& task) {
    require_owner();
    Lock lock(mutex_);
    if (task.done() || !schedule_.cancel(reinterpret_cast<std::uintptr_t>(&task))) return false;
    fail(lock, task, std::make_exception_ptr(TaskCancelled(info(task))));
    return true;
}

void PoolCore::pump(const Lock& lock) {
    for (std::size_t i = 0; i < workers_.size(); ++i)
        if (!workers_[i].sent.empty() || !workers_[i].ready) take_results(lock, i);
    hand_out(lock);
}

void PoolCore::take_results(const Lock& lock, std::size_t index) {
    Worker& worker = workers_[index];
    if (!worker.lane || worker.broken) return;
    while (true) {
        const auto bytes = worker.results.peek();
        if (!bytes.data()) break;
        ResultFrame frame;
        if (bytes.size() < sizeof frame) {
            worker.broken = true;
            break;
        }
        std::memcpy(&frame, bytes.data(), sizeof frame);
        const auto rest = bytes.subspan(sizeof frame);
        const auto payload = frame.payload_at ? worker.lane->heap(frame.payload_at, frame.payload_size)
                             : frame.payload_size <= rest.size() ? rest.first(frame.payload_size)
                                                                  : std::span<const std::byte>();
        if (payload.size() != frame.payload_size) {
            worker.broken = true;
            break;
        }
        take_result(lock, index, frame, payload);
        worker.freed += bytes.size();
        worker.results.release();
    }
    if (worker.results.broken()) worker.broken = true;
    if (worker.broken && worker.child) worker.child->signal(SIGKILL);
    // A worker that found the ring full has filled it: by then much more than this is taken out.
    if (worker.freed >= pool::ring_size / 16) {
        worker.freed = 0;
        shm::notify<shm::Ordering::fenced>(worker.lane->header().result_room);
    }
}

// Descriptors are in the socket before their frame is in the ring.
std::vector<serial::Handle> PoolCore::take_handles(Worker& worker, std::size_t count) {
    std::vector<serial::Handle> handles;
    std::byte nothing;
    while (handles.size() < count) {
        const auto ready = os::wait_readable(worker.socket.get(), base::Deadline::now());
        if (!ready || !*ready) break;
        auto received = os::receive_message(worker.socket.get(), std::span(&nothing, 1));
        if (!received || received->descriptors.empty()) break;
        for (auto& fd : received->descriptors) handles.emplace_back(fd.release());
    }
    return handles;
}

void PoolCore::take_result(const Lock& lock, std::size_t index, const ResultFrame& frame,
                           std::span<const std::byte> payload) {
    Worker& worker = workers_[index];
    // Blocks that this object takes over are given back when it goes.
    auto keep = [&] {
        return frame.payload_at ? pool::ResultBytes(worker.lane, frame.payload_at, frame.payload_size)
                                : pool::ResultBytes(payload);
    };
    auto error_of = [&](const TaskInfo& task) {
        const pool::ResultBytes bytes = keep();
        try {
            return serial::to_exception(serial::decode_exception(bytes.bytes()), task);
        } catch (...) {
            return std::current_exception();
        }
    };
    if (frame.kind == ResultFrameKind::ready) {
        worker.ready = true;
        failed_starts_ = 0;
        return;
    }
    if (frame.kind == ResultFrameKind::init_failed) {
        const auto error = error_of({.function = "initializer"});
        break_pool(lock, "its initializer failed: " + std::string(Failure(error).what()));
        return;
    }
    // Frames before this one are done with.
    while (!worker.sent.empty() && worker.sent.front().number < frame.number) {
        if (worker.sent.front().block) heap_.free(worker.sent.front().block);
        worker.sent.pop_front();
    }
    if (worker.sent.empty() || worker.sent.front().number != frame.number) {
        worker.broken = true;
        return;
    }
    if (frame.kind == ResultFrameKind::element_failed) {
        const auto job = worker.sent.front().job;
        if (!job || frame.element >= job->count) {
            worker.broken = true;
            return;
        }
        // Here and not by the worker, which may die between the frame and that.
        states(*job)[frame.element].store(static_cast<std::uint8_t>(ElementState::failed), std::memory_order_relaxed);
        element_failed(lock, *job, frame.element, error_of(info(*job, frame.element)), job->retries.exception);
        return;
    }
    const Sent sent = std::move(worker.sent.front());
    worker.sent.pop_front();
    worker.answered = frame.number;
    if (worker.stalled) {
        worker.stalled = false;
        schedule_.open(index);
    }
    if (frame.kind == ResultFrameKind::map_left && sent.job) {
        if (sent.job->encoded) sent.job->lanes.emplace(worker.lane_number, worker.lane);
        sent.job->unmade = 0;
        left(lock, sent.job);
        return;
    }
    if (!sent.task) {
        worker.broken = true;
        return;
    }
    PoolTask& task = *sent.task;
    schedule_.done(index, frame.nanoseconds);
    auto& awaited = worker.lane->header().awaited;
    if (awaited.load(std::memory_order_relaxed) <= frame.number) awaited.store(pool::none, std::memory_order_relaxed);
    if (frame.kind == ResultFrameKind::value) {
        task.result = keep();
        if (frame.handles) task.result_handles = take_handles(worker, frame.handles);
        finish(lock, task);
    } else if (task.attempt <= task.retries.exception && !terminated_) {
        static_cast<void>(keep());
        ++task.attempt;
        task.state.store(PoolTask::State::pending, std::memory_order_relaxed);
        schedule_.submit_first(reinterpret_cast<std::uintptr_t>(&task));
    } else {
        task.error = error_of(info(task));
        finish(lock, task);
    }
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

void PoolCore::finish(const Lock& lock, PoolTask& task) {
    if (task.arguments_at) heap_.free(task.arguments_at);
    task.arguments = {};
    task.handles.clear();
    forget(lock, std::move(task.callable));
    // The ledger's hold on the task.
    const auto self = std::move(task.self);
    task.state.store(PoolTask::State::done, std::memory_order_release);
    if (waiting_callers_ > 1) wake_callers();
}

void PoolCore::fail(const Lock& lock, PoolTask& task, std::exception_ptr error) {
    task.error = std::move(error);
    finish(lock, task);
    if (waiting_callers_ > 0) wake_callers();
}

void PoolCore::wake_callers() { shm::notify<shm::Ordering::fenced>(segment_header().caller_wake); }

TaskInfo PoolCore::info(const PoolTask& task) const {
    return {.function = task.callable->name(), .label = task.label, .attempt = task.attempt};
}

TaskInfo PoolCore::info(const Job& job, std::uint64_t element) const {
    return {.function = job.callable->name(), .index = element, .label = job.label, .attempt = job.attempt(element)};
}

void PoolCore::hand_out(const Lock& lock) {
    for (auto& worker : workers_)
        if (!worker.queued.empty()) flush_queued(lock, worker);
    while (auto assignment = schedule_.next()) {
        auto& task = *reinterpret_cast<PoolTask*>(assignment->task);
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

// Takes a frame back that its worker has not begun.
bool PoolCore::take_back(Worker& worker, const Sent& sent) {
    // What was released has been begun, and other bytes may stand there. Only this process writes there, under the lock.
    if (worker.tasks.released(sent.position)) return false;
    std::uint32_t open = pool::frame_open;
    return std::atomic_ref(reinterpret_cast<TaskFrame*>(sent.place)->taken)
        .compare_exchange_strong(open, pool::frame_withdrawn, std::memory_order_acq_rel);
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
            if (!sent->task->handles.empty() || !take_back(worker, *sent)) break;
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

bool PoolCore::put(const Lock&, Worker& worker, TaskFrame frame, std::span<const std::byte> payload, Sent sent) {
    std::byte* place = worker.tasks.reserve(sizeof frame + payload.size());
    if (!place) return false;
    frame.number = sent.number = worker.next_number++;
    std::memcpy(place, &frame, sizeof frame);
    if (!payload.empty()) std::memcpy(place + sizeof frame, payload.data(), payload.size());
    sent.kind = frame.kind;
    sent.place = place;
    sent.position = worker.tasks.reserved_at();
    worker.sent.push_back(std::move(sent));
    worker.tasks.commit();
    shm::notify<shm::Ordering::fenced>(worker.lane->header().task_wake);
    return true;
}

// Never waits: a worker that does not take its descriptors gets no more.
bool PoolCore::send_handles(Worker& worker, std::span<const serial::Handle> handles) {
    constexpr std::size_t batch = os::max_descriptors_a_message;
    if (handles.size() > batch)
        throw Error("a task takes at most " + std::to_string(batch) + " handles (queues, pipe ends, …) along, not " +
                    std::to_string(handles.size()));
    std::vector<int> fds;
    for (const auto& handle : handles) fds.push_back(handle.fd());
    const std::byte something{1};
    const auto sent = os::try_send_message(worker.socket.get(), std::span(&something, 1), fds);
    if (!sent && sent.error() != std::errc::resource_unavailable_try_again && sent.error() != std::errc::broken_pipe &&
        sent.error() != std::errc::connection_reset)
        throw SystemError(sent.error(), "cannot send the descriptors of a task");
    return bool(sent);
}

bool PoolCore::define(const Lock& lock, Worker& worker, Callable& callable) {
    if (worker.generation != callable.generation) {
        // Tasks of an older generation that still wait are given numbers of the new one.
        if (callable.generation < generation_) {
            callable.generation = generation_;
            callable.number = next_callable_++;
        }
        if (worker.generation != generation_) {
            if (!put(lock, worker, {.kind = TaskFrameKind::forget_callables}, {}, {})) return false;
            worker.generation = generation_;
            worker.knows.clear();
        }
    }
    if (callable.number < worker.knows.size() && worker.knows[callable.number]) return true;
    serial::Writer writer;
    serial::encode(writer, callable.entry);
    writer.write(callable.state.data(), callable.state.size());
    TaskFrame frame{.kind = TaskFrameKind::define, .callable = callable.number, .payload_size = writer.bytes().size()};
    frame.handles = static_cast<std::uint32_t>(callable.handles.size());
    Sent sent;
    std::span<const std::byte> payload = writer.bytes();
    if (!worker.tasks.reserve(sizeof frame + (payload.size() > pool::max_inline ? 0 : payload.size()))) return false;
    if (payload.size() > pool::max_inline) {
        sent.block = frame.payload_at = allocate(lock, payload.size(), "a callable's state");
        std::memcpy(segment_.data() + sent.block, payload.data(), payload.size());
        payload = {};
    }
    // The last that can fail: descriptors in the socket must be followed by their frame.
    try {
        if (frame.handles && !send_handles(worker, callable.handles)) {
            if (sent.block) heap_.free(sent.block);
            return false;
        }
    } catch (...) {
        if (sent.block) heap_.free(sent.block);
        throw;
    }
    put(lock, worker, frame, payload, sent);
    if (worker.knows.size() <= callable.number) worker.knows.resize(callable.number + 1);
    worker.knows[callable.number] = true;
    return true;
}

bool PoolCore::send_task(const Lock& lock, std::size_t index, PoolTask& task, bool notify) {
    Worker& worker = workers_[index];
    if (!worker.queued.empty() || !define(lock, worker, *task.callable)) return false;
    TaskFrame frame{.kind = TaskFrameKind::task, .callable = task.callable->number};
    frame.payload_at = task.arguments_at;
    frame.payload_size = task.arguments_size;
    frame.handles = static_cast<std::uint32_t>(task.handles.size());
    frame.notify = notify;
    const auto payload = task.arguments_at ? std::span<const std::byte>() : task.arguments.bytes();
    if (!worker.tasks.reserve(sizeof frame + payload.size())) return false;
    if (frame.handles && !send_handles(worker, task.handles)) return false;
    put(lock, worker, frame, payload, {.task = &task});
    task.worker = index;
    task.number = worker.next_number - 1;
    task.state.store(PoolTask::State::sent, std::memory_order_relaxed);
    return true;
}

bool PoolCore::flush_queued(const Lock& lock, Worker& worker) {
    while (!worker.queued.empty()) {
        pool::TaskFrame frame{.kind = worker.queued.front().kind};
        const auto& queued = worker.queued.front();
        frame.job_at = queued.job_at;
        frame.round_at = queued.round_at;
        if (queued.kind == TaskFrameKind::forget_callable) {
            if (queued.generation != worker.generation) {
                worker.queued.pop_front();  // forgotten with all others, and the number may be another's by now
                continue;
            }
            frame.callable = queued.callable;
        }
        if (queued.job) {
            try {
                if (!define(lock, worker, *queued.job->callable)) return false;
            } catch (...) {
                // No memory for its callable, no descriptors for its handles.
                const auto job = queued.job;
                worker.queued.pop_front();
                give_up(lock, *job, std::current_exception());
                left(lock, job);
                continue;
            }
            frame.callable = queued.job->callable->number;
        }
        if (!put(lock, worker, frame, {}, {.job = queued.job})) return false;
        worker.queued.pop_front();
    }
    return true;
}

void PoolCore::cancel_waiting() {
    Lock lock(mutex_);
    for (const auto id : schedule_.cancel_waiting()) {
        auto& task = *reinterpret_cast<PoolTask*>(id);
        fail(lock, task, std::make_exception_ptr(TaskCancelled(info(task), "the pool is being left by an exception")));
    }
}

// The compiled half of pool_call.hpp and future.hpp.

std::shared_ptr<PoolTask> pool_submit(PoolCore& core, const CallableSpec& callable, const serial::Writer& arguments,
                                      const CallOptions& options) {
    return core.submit(callable, arguments, options);
}

bool task_done(PoolTask& task) { return task.done() || task.pool->wait(task, base::Deadline::now()); }

bool task_wait(PoolTask& task, double seconds) {
    if (task.done()) return true;
    return task.pool->wait(task, seconds < 0 ? base::Deadline::never()
                                             : base::Deadline::after(std::chrono::duration<double>(seconds)));
}

bool task_cancel(PoolTask& task) { return !task.done() && task.pool->cancel(task); }
std::exception_ptr task_error(const PoolTask& task) { return task.error; }
std::span<const std::byte> task_result(const PoolTask& task) { return task.result.bytes(); }
std::span<const serial::Handle> task_handles(const PoolTask& task) { return task.result_handles; }

}  // namespace mp::detail
