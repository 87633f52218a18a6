#include "pool/local_engine.hpp"

#include <pthread.h>

#include <algorithm>
#include <stdexcept>

#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/errors.hpp>

#include "os/library_thread.hpp"
#include "pool/local_task.hpp"

namespace mp::detail {

LocalEngine::LocalEngine(PoolOptions options, Kind kind)
    : options_(std::move(options)), terms_(pool::terms_of(options_)), kind_(kind), callbacks_(*this, options_.name) {
    const int asked = options_.workers.value_or(static_cast<int>(cpu_count()));
    if (asked < 1) throw std::invalid_argument("a pool needs at least 1 worker, not " + std::to_string(asked));
    const int count = kind == Kind::inline_calls ? 1 : asked;
    insight_ = std::make_shared<pool::LocalInsight>(options_.name, static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        workers_.push_back(std::make_unique<Worker>());
        workers_.back()->engine = this;
        workers_.back()->work = &insight_->work(static_cast<std::size_t>(i));
    }
    require_possible({.task_timeout = options_.task_timeout, .timeout = options_.timeout});
}

LocalEngine::~LocalEngine() {
    for (auto& worker : workers_)
        if (worker->thread.joinable()) worker->thread.detach();  // in a fork of the owner, where it does not exist
    // There it would wait for the end of the threads that wait for it.
    if (owner_ != os::own_pid()) static_cast<void>(held_news_.release());
}

void LocalEngine::start() {
    if (kind_ == Kind::inline_calls) return initialize(*workers_.front());
    try {
        for (auto& worker : workers_) {
            Worker* const own = worker.get();
            worker->thread = os::start_thread("cannot start a worker of pool \"" + options_.name + '"',
                                              [this, own] { run_worker(*own); });
            ::pthread_setname_np(worker->thread.native_handle(), options_.name.substr(0, 15).c_str());
        }
    } catch (...) {
        leave(true);  // those that did start end before the engine does
        throw;
    }
}

void LocalEngine::require_owner() const {
    if (owner_ != os::own_pid())
        throw Error("pool \"" + options_.name + "\" belongs to process " + std::to_string(owner_) +
                    ", of which this one is a fork: make a pool of its own here");
}

void LocalEngine::require_usable(const Lock&) const {
    if (!broken_.empty()) throw PoolBroken("pool \"" + options_.name + "\" is broken: " + broken_);
    if (closed_) throw Error("pool \"" + options_.name + "\" is closed: nothing more can be submitted");
}

void LocalEngine::require_possible(const CallOptions& options) const {
    const char* const wish = options.task_timeout ? "task_timeout" : options.timeout ? "timeout" : nullptr;
    if (wish)
        throw std::invalid_argument("pool \"" + options_.name + "\": its engine, " + options_.engine.limits().name +
                                    ", cannot stop a task that runs and so honours no " + wish);
    if (options.chunk_size && *options.chunk_size < 1)
        throw std::invalid_argument("chunk_size must be at least 1, not " + std::to_string(*options.chunk_size));
}

std::shared_ptr<LocalCallable> LocalEngine::take_in(const CallableSpec& spec) {
    constexpr std::size_t most = 1024, largest_key = 256;
    std::string key(reinterpret_cast<const char*>(&spec.entry), sizeof spec.entry);
    key.append(reinterpret_cast<const char*>(spec.key.data()), spec.key.size());
    const bool shared = spec.keyed && key.size() <= largest_key;
    Lock lock(mutex_);
    if (shared)
        if (const auto found = callables_.find(key); found != callables_.end()) return found->second;
    auto callable = std::make_shared<LocalCallable>();
    callable->code = static_cast<const Entry<PoolEntry::Signature>*>(spec.entry)->code;
    serial::Writer writer;
    spec.encode(writer, spec.function);
    callable->state.assign(writer.bytes().begin(), writer.bytes().end());
    callable->handles.assign(writer.handles().begin(), writer.handles().end());
    callable->function = spec.code;
    callable->type = spec.type;
    callable->label = insight_->label(spec.code, *spec.type);
    if (!shared) return callable;
    if (callables_.size() >= most) callables_.clear();
    callables_.emplace(std::move(key), callable);
    return callable;
}

std::shared_ptr<PreparedCallable> LocalEngine::prepare(const CallableSpec& spec) {
    require_owner();
    return take_in(spec);
}

std::shared_ptr<PendingTask> LocalEngine::submit(const TaskSpec& spec) {
    require_owner();
    require_possible(*spec.options);
    auto task = std::make_shared<LocalTask>();
    task->owner = std::static_pointer_cast<LocalEngine>(shared_from_this());
    task->callable = spec.prepared ? std::static_pointer_cast<LocalCallable>(*spec.prepared) : take_in(spec.callable);
    task->arguments.assign(spec.arguments->bytes().begin(), spec.arguments->bytes().end());
    task->handles.assign(spec.arguments->handles().begin(), spec.arguments->handles().end());
    task->retries = pool::terms_of(*spec.options, terms_).retries;
    task->index = spec.index;
    task->label = spec.options->label;
    task->label_number = task->label.empty() ? task->callable->label : insight_->label(task->label);
    task->call = spec.call;
    if (spec.completion) task->watchers.add(spec.completion);
    {
        Lock lock(mutex_);
        require_usable(lock);
        insight_->submitted();
        if (kind_ == Kind::threads) {
            waiting_.push_back({task, nullptr});
            show_queue(lock);
            news_.notify_all();
            return task;
        }
        ++running_;
        show_queue(lock);
    }
    while (true) {
        run(*workers_.front(), {task, nullptr});
        Lock lock(mutex_);
        if (task->poll()) return task;
        if (!news_.wait_until(lock, task->due, [&] { return terminated_; })) continue;
        --running_;
        show_queue(lock);
        finish(lock, *task);
        news_.notify_all();
        return task;
    }
}

std::size_t LocalEngine::useful_window() const {
    if (kind_ == Kind::inline_calls) return 1;
    constexpr std::uint64_t horizon = 1'000'000;
    const std::uint64_t mean = mean_ns_.load(std::memory_order_relaxed);
    return 2 * workers_.size() * (mean == 0 ? 2 : std::clamp<std::size_t>(horizon / mean, 2, 2048));
}

void LocalEngine::close() {
    require_owner();
    Lock lock(mutex_);
    closed_ = true;
}

void LocalEngine::join() {
    require_owner();
    if (own_worker()) throw Error("pool \"" + options_.name + "\" cannot be joined by one of its own tasks");
    {
        Lock lock(mutex_);
        if (!closed_) throw Error("cannot join pool \"" + options_.name + "\" before close() or terminate()");
        news_.wait(lock, [&] { return nothing_left(); });
        stopping_ = true;
        news_.notify_all();
    }
    const std::scoped_lock ending(ending_);
    for (auto& worker : workers_) {
        if (worker->thread.joinable())
            worker->thread.join();
        else if (kind_ == Kind::inline_calls) {
            worker->context.finish();
            worker->made.clear();
        }
    }
    callbacks_.finish();
}

void LocalEngine::terminate() {
    require_owner();
    {
        Lock lock(mutex_);
        closed_ = terminated_ = true;
        cancel_waiting(lock, "the pool was terminated");
    }
    join();
}

void LocalEngine::leave(bool unwinding) {
    if (owner_ != os::own_pid()) return;
    if (unwinding) {
        Lock lock(mutex_);
        cancel_waiting(lock, "the pool is being left by an exception");
    }
    close();
    join();
}

}  // namespace mp::detail

namespace mp {

namespace {

void require(const PoolOptions& options, bool asked, bool can, const char* option) {
    if (asked && !can)
        throw std::invalid_argument("pool \"" + options.name + "\": its engine, " + options.engine.limits().name +
                                    ", cannot honour " + option);
}

template <detail::LocalEngine::Kind kind>
std::shared_ptr<detail::Engine> make_local(PoolOptions options) {
    const EngineLimits& limits = options.engine.limits();
    require(options, options.start_method.has_value(), limits.has_processes, "start_method");
    require(options, options.memory_limit.has_value(), limits.has_processes, "memory_limit");
    require(options, options.max_tasks_per_worker.has_value(), limits.replaces_workers, "max_tasks_per_worker");
    require(options, options.max_worker_growth.has_value(), limits.replaces_workers, "max_worker_growth");
    require(options, options.max_worker_age.has_value(), limits.replaces_workers, "max_worker_age");
    require(options, options.retries.crash > 0, limits.isolates_crashes, "retries after a crash");
    auto engine = std::make_shared<detail::LocalEngine>(std::move(options), kind);
    engine->start();
    return engine;
}

EngineLimits in_this_process(const char* name, bool parallel) {
    return {.name = name,
            .isolates_crashes = false,
            .stops_tasks = false,
            .has_processes = false,
            .replaces_workers = false,
            .is_parallel = parallel};
}

}  // namespace

EngineChoice inline_engine() {
    return {in_this_process("inline", false), &make_local<detail::LocalEngine::Kind::inline_calls>};
}
EngineChoice threads() { return {in_this_process("threads", true), &make_local<detail::LocalEngine::Kind::threads>}; }

}  // namespace mp
