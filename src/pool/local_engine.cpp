#include "pool/local_engine.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/errors.hpp>

#include "pool/call_progress.hpp"
#include "pool/chunk_size.hpp"
#include "pool/retry_policy.hpp"
#include "serial/exception_record.hpp"

namespace mp::detail {

using Clock = std::chrono::steady_clock;

namespace {

// Whose thread this is.
thread_local void* this_local_worker = nullptr;

std::uint64_t nanoseconds_since(Clock::time_point begin) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(Clock::now() - begin).count());
}

// The current exception as processes would hand it over.
std::exception_ptr as_remote(const TaskInfo& task) {
    try {
        const auto record = serial::encode_exception(serial::capture_exception(std::current_exception()));
        return serial::to_exception(serial::decode_exception(record), task);
    } catch (...) {
        return std::current_exception();
    }
}

}  // namespace

struct LocalCallable final : PreparedCallable {
    PoolEntry::Signature* code = nullptr;
    std::vector<std::byte> state;
    std::vector<serial::Handle> handles;
    const void* function = nullptr;  // of a plain function, for its name
    const std::type_info* type = nullptr;
    std::uint32_t label = 0;  // on the status page

    const std::string& name() {
        std::call_once(named_, [this] { name_ = pool::callable_name(function, *type); });
        return name_;
    }

  private:
    std::once_flag named_;
    std::string name_;
};

struct LocalTask final : PendingTask {
    std::shared_ptr<LocalEngine> owner;
    std::shared_ptr<LocalCallable> callable;
    std::vector<std::byte> arguments;
    std::vector<serial::Handle> handles;
    Retries retries;
    std::optional<std::uint64_t> index;
    std::string label;
    std::uint32_t label_number = 0;
    int attempt = 1;
    std::uint64_t call = 0;
    Clock::time_point due{};  // inline: of its next attempt; under the engine's lock
    std::atomic<bool> done{false};  // released after what follows, acquired by readers
    std::vector<std::byte> result;
    std::vector<serial::Handle> result_handles;
    std::exception_ptr error;
    std::vector<pool::Watcher> watchers;

    TaskInfo info() const {
        return {.function = callable->name(), .index = index, .label = label, .attempt = attempt};
    }

    bool poll() override { return done.load(std::memory_order_acquire); }
    bool wait(double seconds) override { return owner->wait(done, seconds); }
    bool cancel() override { return owner->cancel(*this); }
    std::exception_ptr failure() const override { return error; }
    std::exception_ptr first_error() const override { return error; }
    bool notify(std::shared_ptr<Completion> completion, bool watched) override {
        return owner->notify(done, watchers, {std::move(completion), watched});
    }
    void forget(const Completion& completion) override { owner->forget(watchers, completion); }
    Engine& engine() override { return *owner; }
    std::span<const std::byte> bytes() const override { return result; }
    std::span<const serial::Handle> attached() const override { return result_handles; }
};

struct LocalMap final : PendingMap {
    // What one worker has claimed of a round, for whoever wants to know how far it is: hints.
    struct Claim {
        std::atomic<std::uint64_t> begin{0}, end{0};
        std::atomic<std::uint64_t> current{pool::none};  // element being run
    };

    std::shared_ptr<LocalEngine> owner;
    std::shared_ptr<LocalCallable> callable;
    std::uint64_t count = 0, call = 0, chunk = 0;
    pool::Grouping grouping;
    std::uint32_t label_number = 0;
    std::vector<std::byte> inputs;
    std::vector<std::uint64_t> offsets;
    std::vector<std::max_align_t> results;
    std::unique_ptr<std::atomic<std::uint8_t>[]> states;
    std::vector<std::vector<std::byte>> encoded_results;
    bool has_offsets = false, is_encoded = false;
    std::optional<std::size_t> worker;  // nobody else runs it
    Retries retries;
    std::string label;
    std::vector<std::uint64_t> indices;  // of this round; empty: every position
    std::atomic<std::uint64_t> next{0};  // claimed by workers
    std::uint64_t positions = 0;         // of this round
    std::size_t shares = 0;              // not left yet; under the engine's lock, as the next
    Clock::time_point due{};             // of this round
    std::unique_ptr<Claim[]> claims;     // of this round, one a share
    std::atomic<std::size_t> begun{0};   // shares that have one
    std::shared_ptr<trace::ProgressDisplay> shown;  // by the thread that runs it
    std::exception_ptr interrupted;      // what the user's function threw that was told
    std::mutex mutex;                    // guards the next three
    std::multimap<Clock::time_point, std::uint64_t> again;  // by when they are due
    std::unordered_map<std::uint64_t, int> attempts;
    std::map<std::uint64_t, std::exception_ptr> errors;  // of the last attempt
    std::exception_ptr whole;
    std::atomic<bool> done{false};
    std::vector<pool::Watcher> watchers;

    bool poll() override { return done.load(std::memory_order_acquire); }
    bool wait(double seconds) override { return owner->wait(done, seconds); }
    bool cancel() override { return owner->cancel(*this); }
    std::exception_ptr failure() const override { return whole; }
    std::exception_ptr first_error() const override {
        if (whole) return whole;
        return errors.empty() ? nullptr : errors.begin()->second;
    }
    bool notify(std::shared_ptr<Completion> completion, bool watched) override {
        return owner->notify(done, watchers, {std::move(completion), watched});
    }
    void forget(const Completion& completion) override { owner->forget(watchers, completion); }
    Engine& engine() override { return *owner; }
    std::uint64_t size() const override { return count; }
    std::uint64_t elements() const override { return grouping.elements; }
    MapProgress progress() override { return owner->progress(*this); }
    std::shared_ptr<trace::ProgressDisplay> display() override { return shown; }
    TaskInfo info() const { return {.function = callable->name(), .label = label}; }
    bool has_value(std::uint64_t index) const override {
        return states[index].load(std::memory_order_acquire) == static_cast<std::uint8_t>(ElementState::value);
    }
    std::exception_ptr error(std::uint64_t index) const override {
        const auto found = errors.find(index);
        return found != errors.end() ? found->second : std::make_exception_ptr(TaskCancelled("an element was not run"));
    }
    const std::byte* array() const override { return reinterpret_cast<const std::byte*>(results.data()); }
    std::span<const std::byte> encoded(std::uint64_t index) const override { return encoded_results[index]; }
};

namespace {

class LocalSink final : public MapSink {
  public:
    LocalSink(LocalMap& map, pool::LocalInsight& insight, pool::LocalInsight::Work& work)
        : map_(map), insight_(insight), work_(work) {}
    void element_failed(std::uint64_t element) noexcept override {
        const std::uint64_t position = element / map_.grouping.group;
        work_.failed();
        TaskInfo info = map_.info();
        info.index = element;
        info.attempt = 1;
        {
            const std::scoped_lock hold(map_.mutex);
            if (const auto known = map_.attempts.find(position); known != map_.attempts.end())
                info.attempt = known->second;
        }
        const auto error = as_remote(info);
        const auto due = map_.owner->next_attempt(map_.retries, info.attempt, error, position);
        const std::scoped_lock hold(map_.mutex);
        map_.errors.insert_or_assign(position, error);
        map_.states[position].store(static_cast<std::uint8_t>(ElementState::failed), std::memory_order_release);
        if (!due) return;
        insight_.retried();
        map_.attempts.insert_or_assign(position, info.attempt + 1);
        map_.again.emplace(*due, position);
    }
    void element_encoded(std::uint64_t position, std::span<const std::byte> bytes) override {
        map_.encoded_results[position].assign(bytes.begin(), bytes.end());
    }

  private:
    LocalMap& map_;
    pool::LocalInsight& insight_;
    pool::LocalInsight::Work& work_;
};

}  // namespace

LocalEngine::Made::~Made() {
    if (!object) return;
    PoolCall call{.step = PoolCall::Step::drop, .object = object};
    callable->code(call);
}

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
    for (auto& worker : workers_) {
        Worker* const own = worker.get();
        worker->thread = std::thread([this, own] { run_worker(*own); });
        ::pthread_setname_np(worker->thread.native_handle(), options_.name.substr(0, 15).c_str());
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

std::shared_ptr<PendingMap> LocalEngine::map(const MapSpec& spec) {
    require_owner();
    require_possible(*spec.options);
    auto map = std::make_shared<LocalMap>();
    map->owner = std::static_pointer_cast<LocalEngine>(shared_from_this());
    map->count = spec.count;
    map->grouping = {spec.group, spec.elements ? spec.elements : spec.count};
    map->call = spec.call;
    map->chunk = static_cast<std::uint64_t>(spec.options->chunk_size.value_or(0));
    map->callable = take_in(spec.callable);
    map->inputs.assign(spec.inputs.begin(), spec.inputs.end());
    map->offsets.assign(spec.input_offsets.begin(), spec.input_offsets.end());
    map->has_offsets = !spec.input_offsets.empty();
    map->is_encoded = spec.encoded_results;
    map->worker = spec.worker;
    map->retries = pool::terms_of(*spec.options, terms_).retries;
    map->label = spec.options->label;
    map->label_number = map->label.empty() ? map->callable->label : insight_->label(map->label);
    const auto too_many = [&] {
        return SystemError(base::error_of(ENOMEM), "cannot hold the results of " + std::to_string(spec.count) +
                                                       " elements for pool \"" + options_.name + '"');
    };
    if (spec.result_size > 0 && spec.count > (~std::uint64_t(0) >> 1) / spec.result_size) throw too_many();
    try {
        map->results.resize((spec.count * spec.result_size + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
        map->states = std::make_unique<std::atomic<std::uint8_t>[]>(spec.count);
        if (spec.encoded_results) map->encoded_results.resize(spec.count);
    } catch (const std::bad_alloc&) {
        throw too_many();
    } catch (const std::length_error&) {
        throw too_many();
    }
    if (kind_ == Kind::inline_calls && spec.options->progress)
        map->shown = pool::make_display(*map, *spec.options);
    Lock lock(mutex_);
    require_usable(lock);
    if (spec.count == 0) {
        map->done.store(true, std::memory_order_release);
        return map;
    }
    insight_->mapped(map->grouping.elements);
    begin_round(lock, map);
    if (kind_ == Kind::threads) return map;
    ++running_;
    show_queue(lock);
    while (!map->poll()) {
        if (news_.wait_until(lock, map->due, [&] { return terminated_ || map->whole; }))
            map->next.store(map->positions, std::memory_order_relaxed);
        lock.unlock();
        run(*workers_.front(), {nullptr, map});
        lock.lock();
    }
    if (map->interrupted) std::rethrow_exception(map->interrupted);
    return map;
}

void LocalEngine::begin_round(Lock& lock, const std::shared_ptr<LocalMap>& map) {
    map->positions = map->indices.empty() ? map->count : map->indices.size();
    map->next.store(0, std::memory_order_relaxed);
    map->shares = static_cast<std::size_t>(std::min<std::uint64_t>(workers_.size(), map->positions));
    map->claims = std::make_unique<LocalMap::Claim[]>(map->shares);
    map->begun.store(0, std::memory_order_relaxed);
    if (kind_ == Kind::inline_calls) return;
    const bool at_once = map->due <= Clock::now();
    for (std::size_t i = 0; i < map->shares; ++i) {
        if (at_once)
            waiting_.push_back({nullptr, map});
        else
            delayed_.emplace(map->due, Item{nullptr, map});
    }
    show_queue(lock);
    news_.notify_all();
}

std::optional<Clock::time_point> LocalEngine::next_attempt(const Retries& retries, int attempt,
                                                           const std::exception_ptr& error, std::uint64_t number) {
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
std::optional<Clock::time_point> LocalEngine::run_task(Worker& worker, LocalTask& task) {
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

void LocalEngine::run_share(Worker& worker, LocalMap& map) {
    LocalMap::Claim& claim = map.claims[map.begun.fetch_add(1, std::memory_order_relaxed)];
    LocalSink sink(map, *insight_, *worker.work);
    MapCall call;
    call.indices = map.indices.empty() ? nullptr : map.indices.data();
    call.inputs = map.inputs.data();
    call.input_offsets = map.has_offsets ? map.offsets.data() : nullptr;
    call.results = map.is_encoded ? nullptr : reinterpret_cast<std::byte*>(map.results.data());
    call.states = map.states.get();
    call.current = &claim.current;
    call.sink = &sink;
    PoolCall pool_call{.map = &call};
    pool::ChunkSize chunk;
    const auto element = [&](std::uint64_t position) {
        return map.grouping.first(call.indices ? call.indices[position] : position);
    };
    const auto run = [&](Clock::time_point from) {
        const std::uint64_t first = element(call.begin), positions = call.end - call.begin;
        const std::uint64_t elements = map.grouping.covered(first, positions);
        pool::Stretch stretch(*worker.work, map.label_number, first, elements, from);
        map.callable->code(pool_call);
        const auto now = Clock::now();
        stretch.end(now, elements);
        return now;
    };
    while (true) {
        std::uint64_t begin = map.next.load(std::memory_order_relaxed);
        std::uint64_t size = 0;
        do {
            if (begin >= map.positions) {
                claim.end.store(0, std::memory_order_relaxed);
                return;
            }
            const std::uint64_t left = map.positions - begin;
            size = map.chunk ? std::min(map.chunk, left) : chunk.next(left, workers_.size());
        } while (!map.next.compare_exchange_weak(begin, begin + size, std::memory_order_relaxed));
        claim.begin.store(begin, std::memory_order_relaxed);
        claim.end.store(begin + size, std::memory_order_relaxed);
        call.begin = begin;
        call.end = begin + size;
        const auto started = Clock::now();
        const pool::TaskScope scope(options_.seed, map.call, 0, &claim.current);
        try {
            pool_call.object = object_of(worker, map.callable);
        } catch (...) {
            for (std::uint64_t at = call.begin; at != call.end; ++at) sink.element_failed(element(at));
            continue;
        }
        const bool each = worker.work->recording() && chunk.mean() >= pool::worth_a_look;
        if (each)
            pool::run_one_by_one(call, started, run);
        else
            run(started);
        const std::uint64_t took = nanoseconds_since(started);
        chunk.learn(size, took);
        learn(size, took);
        if (map.shown) tell_progress(map);
    }
}

// Only one who runs the map in the thread of the caller can tell the caller meanwhile.
void LocalEngine::tell_progress(LocalMap& map) {
    try {
        map.shown->tick();
    } catch (...) {
        map.interrupted = std::current_exception();
        cancel(map);
    }
}

MapProgress LocalEngine::progress(LocalMap& map) {
    Lock lock(mutex_);
    const std::scoped_lock hold(map.mutex);
    if (map.poll()) return {map.grouping.elements, map.errors.size()};
    // What waits for another attempt has neither failed nor been done.
    const std::uint64_t delayed = map.again.size(), failed = map.errors.size() - delayed;
    std::uint64_t done = map.count - map.positions + std::min(map.next.load(std::memory_order_relaxed), map.positions);
    done -= std::min(done, delayed);
    const std::size_t begun = std::min(map.begun.load(std::memory_order_relaxed), map.shares);
    for (std::size_t i = 0; i < begun; ++i) {
        const LocalMap::Claim& claim = map.claims[i];
        const std::uint64_t current = claim.current.load(std::memory_order_relaxed);
        done -= std::min(done, pool::open_positions(claim.begin.load(std::memory_order_relaxed),
                                                    claim.end.load(std::memory_order_relaxed),
                                                    map.indices.empty() ? current / map.grouping.group : pool::none));
    }
    return {map.grouping.covered(0, done), failed};
}

void LocalEngine::learn(std::uint64_t tasks, std::uint64_t nanoseconds) {
    const std::uint64_t each = std::max<std::uint64_t>(1, nanoseconds / tasks);
    const std::uint64_t before = mean_ns_.load(std::memory_order_relaxed);
    mean_ns_.store(before == 0 ? each : (7 * before + each + 7) / 8, std::memory_order_relaxed);
}

std::size_t LocalEngine::useful_window() const {
    if (kind_ == Kind::inline_calls) return 1;
    constexpr std::uint64_t horizon = 1'000'000;
    const std::uint64_t mean = mean_ns_.load(std::memory_order_relaxed);
    return 2 * workers_.size() * (mean == 0 ? 2 : std::clamp<std::size_t>(horizon / mean, 2, 2048));
}

void LocalEngine::tell(std::vector<pool::Watcher>& watchers) {
    for (const auto& watcher : std::exchange(watchers, {})) {
        watcher.completion->completed();
        if (watcher.watched) callbacks_.came();
    }
}

void LocalEngine::finish(Lock&, LocalTask& task) {
    task.arguments.clear();
    task.handles.clear();
    task.callable.reset();
    task.done.store(true, std::memory_order_release);
    tell(task.watchers);
}

void LocalEngine::share_left(Lock& lock, const std::shared_ptr<LocalMap>& map) {
    if (--map->shares > 0) return;
    if (!map->again.empty() && !map->whole && may_try_again(lock)) {
        // Those that are due, or will be first.
        map->due = map->again.begin()->first;
        const auto end = map->again.upper_bound(std::max(map->due, Clock::now()));
        map->indices.clear();
        for (auto element = map->again.begin(); element != end; ++element) {
            map->indices.push_back(element->second);
            map->errors.erase(element->second);
        }
        map->again.erase(map->again.begin(), end);
        return begin_round(lock, map);
    }
    map->callable.reset();
    map->done.store(true, std::memory_order_release);
    tell(map->watchers);
}

bool LocalEngine::notify(const std::atomic<bool>& done, std::vector<pool::Watcher>& watchers, pool::Watcher watcher) {
    Lock lock(mutex_);
    if (done.load(std::memory_order_relaxed)) return false;
    if (watcher.watched) callbacks_.expect();
    watchers.push_back(std::move(watcher));
    return true;
}

void LocalEngine::forget(std::vector<pool::Watcher>& watchers, const Completion& completion) {
    Lock lock(mutex_);
    std::erase_if(watchers, [&](const pool::Watcher& watcher) {
        if (watcher.completion.get() != &completion) return false;
        if (watcher.watched) callbacks_.came();
        return true;
    });
    news_.notify_all();
}

LocalEngine::Worker* LocalEngine::own_worker() const {
    auto* const worker = static_cast<Worker*>(this_local_worker);
    return worker && worker->engine == this ? worker : nullptr;
}

// What this worker may take next; the end when there is nothing.
std::deque<LocalEngine::Item>::iterator LocalEngine::next_for(const Worker& worker) {
    return std::ranges::find_if(waiting_, [&](const Item& item) { return may_take(worker, item); });
}

// The newest of that.
std::deque<LocalEngine::Item>::iterator LocalEngine::last_for(const Worker& worker) {
    const auto found = std::ranges::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Item& item) { return may_take(worker, item); });
    return found == waiting_.rend() ? waiting_.end() : std::prev(found.base());
}

bool LocalEngine::may_take(const Worker& worker, const Item& item) const {
    return !item.map || !item.map->worker || workers_[*item.map->worker].get() == &worker;
}

// What has waited long enough for its next attempt comes first.
void LocalEngine::take_due(const Lock&) {
    while (!delayed_.empty() && delayed_.begin()->first <= Clock::now()) {
        waiting_.push_front(std::move(delayed_.begin()->second));
        delayed_.erase(delayed_.begin());
    }
}

// Until something changes, or `end`; a worker also until something is due.
void LocalEngine::wait_for_news(Lock& lock, const Worker* worker, Clock::time_point end) {
    if (worker && !delayed_.empty()) end = std::min(end, delayed_.begin()->first);
    if (end == Clock::time_point::max())
        news_.wait(lock);
    else
        news_.wait_until(lock, end);
}

// A task that waits for others of its pool does some of them meanwhile: its thread may be the only one. The newest first:
// these are its own as a rule, so that the stack does not grow by all that wait before them and will wait in their turn.
bool LocalEngine::wait_for(Lock& lock, const std::function<bool()>& done, double seconds) {
    const bool limited = seconds >= 0 && seconds < 1e9;
    const auto end = Clock::now() +
                     std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limited ? seconds : 0));
    while (!done()) {
        if (limited && Clock::now() >= end) return false;
        Worker* const worker = own_worker();
        if (worker) take_due(lock);
        if (const auto last = worker ? last_for(*worker) : waiting_.end(); last != waiting_.end()) {
            Item item = std::move(*last);
            waiting_.erase(last);
            ++running_;
            lock.unlock();
            run(*worker, std::move(item));
            lock.lock();
        } else {
            wait_for_news(lock, worker, limited ? end : Clock::time_point::max());
        }
    }
    return true;
}

bool LocalEngine::wait(const std::atomic<bool>& done, double seconds) {
    if (done.load(std::memory_order_acquire)) return true;
    require_owner();
    Lock lock(mutex_);
    return wait_for(lock, [&] { return done.load(std::memory_order_acquire); }, seconds);
}

bool LocalEngine::help(const std::function<bool()>& done, double seconds) {
    require_owner();
    Lock lock(mutex_);
    return wait_for(lock, done, seconds);
}

bool LocalEngine::cancel(LocalTask& task) {
    Lock lock(mutex_);
    const auto is_it = [&](const Item& item) { return item.task.get() == &task; };
    std::shared_ptr<LocalTask> held;
    if (const auto found = std::ranges::find_if(waiting_, is_it); found != waiting_.end()) {
        held = std::move(found->task);
        waiting_.erase(found);
    } else {
        const auto delayed = std::ranges::find_if(delayed_, [&](const auto& entry) { return is_it(entry.second); });
        if (delayed == delayed_.end()) return false;
        held = std::move(delayed->second.task);
        delayed_.erase(delayed);
    }
    held->error = std::make_exception_ptr(TaskCancelled(held->info()));
    finish(lock, *held);
    news_.notify_all();
    return true;
}

bool LocalEngine::cancel(LocalMap& map) {
    Lock lock(mutex_);
    if (map.done.load(std::memory_order_relaxed) || map.whole) return false;
    map.whole = std::make_exception_ptr(TaskCancelled(map.info()));
    map.next.store(map.positions, std::memory_order_relaxed);
    std::vector<std::shared_ptr<LocalMap>> shares;
    const auto is_its = [&](const Item& item) {
        if (item.map.get() != &map) return false;
        shares.push_back(item.map);
        return true;
    };
    std::erase_if(waiting_, is_its);
    std::erase_if(delayed_, [&](const auto& entry) { return is_its(entry.second); });
    for (const auto& share : shares) share_left(lock, share);
    news_.notify_all();
    return true;
}

void LocalEngine::cancel_waiting(Lock& lock, const char* reason) {
    for (auto& [due, item] : std::exchange(delayed_, {})) waiting_.push_back(std::move(item));
    for (auto& item : std::exchange(waiting_, {})) {
        if (item.task) {
            item.task->error = std::make_exception_ptr(TaskCancelled(item.task->info(), reason));
            finish(lock, *item.task);
        } else {
            if (!item.map->whole)
                item.map->whole = std::make_exception_ptr(
                    TaskCancelled(item.map->info(), reason));
            share_left(lock, item.map);
        }
    }
    news_.notify_all();
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
        const std::string cause = "its initializer failed: " + std::string(Failure(as_remote({.function = "initializer"})).what());
        Lock lock(mutex_);
        if (broken_.empty()) broken_ = cause;
        for (auto& [due, item] : std::exchange(delayed_, {})) waiting_.push_back(std::move(item));
        const auto error = std::make_exception_ptr(PoolBroken("pool \"" + options_.name + "\" is broken: " + broken_));
        for (auto& item : std::exchange(waiting_, {})) {
            if (item.task) {
                item.task->error = error;
                finish(lock, *item.task);
            } else {
                item.map->whole = error;
                share_left(lock, item.map);
            }
        }
        news_.notify_all();
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
