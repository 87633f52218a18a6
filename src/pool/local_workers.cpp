// What the workers of the engines within this process do: threads, or whoever calls.
#include <algorithm>

#include <multiprocessing/errors.hpp>

#include "pool/local_engine.hpp"
#include "pool/local_task.hpp"
#include "pool/retry_policy.hpp"
#include "serial/exception_record.hpp"

namespace mp::detail {

namespace {

// Whose thread this is.
thread_local void* this_local_worker = nullptr;

}  // namespace

std::exception_ptr as_remote(const TaskInfo& task) {
    try {
        const auto record = serial::encode_exception(serial::capture_exception(std::current_exception()));
        return serial::to_exception(serial::decode_exception(record), task);
    } catch (...) {
        return std::current_exception();
    }
}

LocalEngine::Made::~Made() {
    if (!object) return;
    PoolCall call{.step = PoolCall::Step::drop, .object = object};
    callable->code(call);
}

void LocalEngine::initialize(Worker& worker) {
    worker.work->started();
    if (!options_.initializer) return worker.work->initialized();
    const pool::WorkerScope scope(worker.context);
    try {
        PoolEntry::Signature* const code =
            static_cast<const Entry<PoolEntry::Signature>*>(options_.initializer.entry())->code;
        const auto& state = options_.initializer.state();
        serial::Reader reader(state.bytes(), state.handles());
        PoolCall call{.reader = &reader};
        code(call);
        worker.work->initialized();
    } catch (...) {
        const Failure failure(as_remote({.function = "initializer"}));
        const std::string cause = "its initializer failed: " + std::string(failure.what());
        Lock lock(mutex_);
        if (broken_.empty()) broken_ = cause;
        const auto error = std::make_exception_ptr(PoolBroken("pool \"" + options_.name + "\" is broken: " + broken_));
        fail_waiting(lock, [&](const TaskInfo&) { return error; });
    }
}

void LocalEngine::run_worker(Worker& worker) {
    initialize(worker);
    Lock lock(mutex_);
    while (true) {
        take_due(lock);
        const auto next = next_for(worker);
        if (next == waiting_.end() || !broken_.empty()) {
            if (stopping_) break;
            wait_for_news(lock, &worker, Clock::time_point::max());
            continue;
        }
        Item item = std::move(*next);
        waiting_.erase(next);
        ++running_;
        lock.unlock();
        run(worker, std::move(item));
        lock.lock();
    }
    lock.unlock();
    worker.context.finish();
    worker.made.clear();
}

LocalEngine::Worker* LocalEngine::own_worker() const {
    auto* const worker = static_cast<Worker*>(this_local_worker);
    return worker && worker->engine == this ? worker : nullptr;
}

bool LocalEngine::may_take(const Worker& worker, const Item& item) const {
    return !item.map || !item.map->worker || workers_[*item.map->worker].get() == &worker;
}

// What this worker may take next; the end when there is nothing.
std::deque<LocalEngine::Item>::iterator LocalEngine::next_for(const Worker& worker) {
    return std::ranges::find_if(waiting_, [&](const Item& item) { return may_take(worker, item); });
}

// The newest of that.
std::deque<LocalEngine::Item>::iterator LocalEngine::last_for(const Worker& worker) {
    const auto found = std::ranges::find_if(waiting_.rbegin(), waiting_.rend(),
                                            [&](const Item& item) { return may_take(worker, item); });
    return found == waiting_.rend() ? waiting_.end() : std::prev(found.base());
}

// What has waited long enough for its next attempt comes first.
void LocalEngine::take_due(const Lock&) {
    while (!delayed_.empty() && delayed_.begin()->first <= Clock::now()) {
        waiting_.push_front(std::move(delayed_.begin()->second));
        delayed_.erase(delayed_.begin());
    }
}

// The callable as this worker made it; callables that nobody else holds any more are dropped now and then.
void* LocalEngine::object_of(Worker& worker, const std::shared_ptr<LocalCallable>& callable) {
    constexpr std::size_t many = 64;
    if (worker.made.size() >= many)
        std::erase_if(worker.made, [&](const auto& entry) {
            return entry.second.callable.use_count() == 1 && entry.first != callable.get();
        });
    if (const auto found = worker.made.find(callable.get()); found != worker.made.end()) return found->second.object;
    serial::Reader reader(callable->state, callable->handles);
    PoolCall call{.step = PoolCall::Step::make, .reader = &reader};
    callable->code(call);
    Made& made = worker.made[callable.get()];
    made.callable = callable;
    made.object = call.object;
    return made.object;
}

void LocalEngine::run(Worker& worker, Item item) {
    std::optional<Clock::time_point> again;
    {
        std::unique_lock<std::recursive_mutex> one_at_a_time;
        if (kind_ == Kind::inline_calls) one_at_a_time = std::unique_lock(inline_);
        void* const before = std::exchange(this_local_worker, static_cast<void*>(&worker));
        const pool::WorkerScope scope(worker.context);
        if (item.task)
            again = run_task(worker, *item.task);
        else
            run_share(worker, *item.map);
        this_local_worker = before;
    }
    Lock lock(mutex_);
    --running_;
    if (again && may_try_again(lock)) {
        ++item.task->attempt;
        item.task->due = *again;
        insight_->retried();
        if (kind_ == Kind::inline_calls)
            ++running_;  // the caller goes on with it
        else
            delayed_.emplace(*again, std::move(item));
        show_queue(lock);
        news_.notify_all();
        return;
    }
    show_queue(lock);  // before it is done: who sees that sees this
    if (item.task) {
        finish(lock, *item.task);
    } else {
        share_left(lock, item.map);
        if (kind_ == Kind::inline_calls && !item.map->poll()) {
            ++running_;  // as above
            show_queue(lock);
        }
    }
    news_.notify_all();
}

// Returns when it is to be tried again.
std::optional<LocalEngine::Clock::time_point> LocalEngine::run_task(Worker& worker, LocalTask& task) {
    const auto begin = Clock::now();
    task.error = nullptr;
    {
        pool::Stretch stretch(*worker.work, task.label_number, task.index.value_or(trace::no_element), 1, begin);
        try {
            serial::Reader reader(task.arguments, task.handles);
            serial::Writer writer;
            PoolCall call{.object = object_of(worker, task.callable), .reader = &reader, .writer = &writer};
            const pool::TaskScope scope(options_.seed, task.call, task.index.value_or(0));
            task.callable->code(call);
            task.result.assign(writer.bytes().begin(), writer.bytes().end());
            task.result_handles.assign(writer.handles().begin(), writer.handles().end());
        } catch (...) {
            worker.work->failed();
            task.error = as_remote(task.info());
        }
        stretch.end(Clock::now(), 1);
    }
    learn(1, nanoseconds_since(begin));
    if (!task.error) return std::nullopt;
    return next_attempt(task.retries, task.attempt, task.error, task.index.value_or(task.call));
}

void LocalEngine::learn(std::uint64_t tasks, std::uint64_t nanoseconds) {
    const std::uint64_t each = std::max<std::uint64_t>(1, nanoseconds / tasks);
    const std::uint64_t before = mean_ns_.load(std::memory_order_relaxed);
    mean_ns_.store(before == 0 ? each : (7 * before + each + 7) / 8, std::memory_order_relaxed);
}

std::optional<LocalEngine::Clock::time_point> LocalEngine::next_attempt(const Retries& retries, int attempt,
                                                                        const std::exception_ptr& error,
                                                                        std::uint64_t number) {
    if (attempt > retries.exception) return std::nullopt;
    if (retries.when) {
        const std::scoped_lock one_at_a_time(asking_);
        try {
            if (!retries.when(Failure(error))) return std::nullopt;
        } catch (...) {
            return std::nullopt;
        }
    }
    return Clock::now() + pool::delay_before(retries.delay, attempt + 1, options_.seed, number);
}

}  // namespace mp::detail
