// Maps of the engines within this process: claimed by shares, in rounds of which the next has what is to be tried
// again.
#include <algorithm>
#include <stdexcept>

#include <multiprocessing/errors.hpp>

#include "pool/call_progress.hpp"
#include "pool/chunk_size.hpp"
#include "pool/local_engine.hpp"
#include "pool/local_task.hpp"

namespace mp::detail {

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
    if (kind_ == Kind::inline_calls && spec.options->progress) map->shown = pool::make_display(*map, *spec.options);
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
    map->watchers.tell();
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

}  // namespace mp::detail
