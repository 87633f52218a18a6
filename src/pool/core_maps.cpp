// Maps: laying elements out in the segment, sending workers there, and what is to be done when they have left.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <multiprocessing/detail/in_parallel.hpp>
#include <multiprocessing/errors.hpp>

#include "os/log.hpp"
#include "pool/copying_threads.hpp"
#include "pool/core.hpp"

namespace mp::detail {

using pool::Job;
using pool::JobHeader;
using pool::ResultPlace;
using pool::Round;
using pool::TaskFrameKind;

std::atomic<std::uint8_t>* PoolCore::states(const Job& job) const {
    return reinterpret_cast<std::atomic<std::uint8_t>*>(segment_.data() + job.header.states_at);
}

namespace {

// A map that was begun, in the hands of whoever wants its results.
class PoolMap final : public PendingMap {
  public:
    PoolMap(std::shared_ptr<PoolCore> core, std::shared_ptr<Job> job) : core_(std::move(core)), job_(std::move(job)) {}
    ~PoolMap() override {
        if (job_->count) core_->release(job_);
    }

    bool poll() override { return core_->wait(*job_, base::Deadline::now()); }
    bool wait(double seconds) override {
        return core_->wait(*job_, seconds < 0 ? base::Deadline::never()
                                              : base::Deadline::after(std::chrono::duration<double>(seconds)));
    }
    bool cancel() override { return core_->cancel(job_); }
    std::exception_ptr failure() const override {
        if (job_->stopped == Job::Stopped::cancelled) return core_->stop_error(*job_, std::nullopt);
        return job_->failure;
    }
    bool notify(std::shared_ptr<Completion> completion, bool watched) override {
        return core_->notify(*job_, std::move(completion), watched);
    }
    void forget(const Completion& completion) override { core_->forget(job_->watchers, completion); }
    Engine& engine() override { return *core_; }
    MapProgress progress() override { return core_->progress(*job_); }

    std::uint64_t size() const override { return job_->count; }
    std::uint64_t elements() const override { return job_->header.grouping.elements; }
    bool has_value(std::uint64_t index) const override { return core_->has_value(*job_, index); }
    const std::byte* array() const override { return core_->results(*job_); }
    std::span<const std::byte> encoded(std::uint64_t index) const override { return core_->encoded_result(*job_, index); }
    int decoding_threads() const override { return core_->copying_threads(core_->encoded_bytes(*job_)); }
    std::exception_ptr first_error() const override {
        if (job_->failure) return job_->failure;
        if (job_->stopped != Job::Stopped::no) return core_->stop_error(*job_, std::nullopt);
        return job_->errors.empty() ? nullptr : job_->errors.begin()->second;
    }
    std::exception_ptr error(std::uint64_t index) const override {
        const auto found = job_->errors.find(index);
        if (found != job_->errors.end()) return found->second;
        if (job_->stopped != Job::Stopped::no) return core_->stop_error(*job_, index);
        return std::make_exception_ptr(
            PoolBroken("the pool has neither a result nor a reason for element " + std::to_string(index)));
    }

  private:
    std::shared_ptr<PoolCore> core_;
    std::shared_ptr<Job> job_;
};

// Inputs that are encoded where workers read them.
class SegmentInput final : public InputMemory {
  public:
    SegmentInput(std::shared_ptr<PoolCore> core, std::uint64_t at, std::span<std::byte> room)
        : InputMemory(room), core_(std::move(core)), at_(at), begin_(room.data()) {}
    ~SegmentInput() override {
        if (at_) core_->give_up(at_);
    }

    /// Where they lie: the caller's from now on. 0: they took more than was expected, and lie elsewhere.
    std::uint64_t take() { return writer.bytes().data() == begin_ ? std::exchange(at_, 0) : 0; }

  private:
    std::shared_ptr<PoolCore> core_;
    std::uint64_t at_;
    const std::byte* begin_;
};

}  // namespace

std::unique_ptr<InputMemory> PoolCore::input_memory(std::uint64_t size) {
    require_owner();
    if (size == 0) return Engine::input_memory(size);
    std::uint64_t at = 0;
    {
        const Lock lock(mutex_);
        at = allocate(lock, size, "input");
    }
    try {
        return std::make_unique<SegmentInput>(std::static_pointer_cast<PoolCore>(shared_from_this()), at,
                                              segment_.bytes().subspan(at, size));
    } catch (...) {
        give_up(at);
        throw;
    }
}

int PoolCore::copying_threads(std::uint64_t bytes) const { return pool::copying_threads(bytes, workers()); }

void PoolCore::give_up(std::uint64_t input_memory) {
    if (owner_ != os::own_pid()) return;
    const Lock lock(mutex_);
    heap_.free(input_memory);
}

std::shared_ptr<PendingMap> PoolCore::map(const MapSpec& spec) {
    require_owner();
    if (spec.options->chunk_size && *spec.options->chunk_size < 1)
        throw std::invalid_argument("chunk_size must be at least 1, not " + std::to_string(*spec.options->chunk_size));
    auto job = std::make_shared<Job>();
    // From here on, since it frees what is taken below.
    auto map = std::make_shared<PoolMap>(std::static_pointer_cast<PoolCore>(shared_from_this()), job);
    job->count = spec.count;
    job->group = spec.group;
    job->terms = pool::says_nothing(*spec.options) ? terms_ : pool::terms_of(*spec.options, terms_);
    if (job->terms.timeout != forever) job->limit = Clock::now() + job->terms.timeout;
    job->chunk = static_cast<std::uint64_t>(spec.options->chunk_size.value_or(0));
    job->encoded = spec.encoded_results;
    job->worker = spec.worker;
    job->place = spec.place;

    JobHeader& header = job->header;
    header.count = spec.count;
    header.call = spec.call;
    header.grouping = {spec.group, spec.elements ? spec.elements : spec.count};
    header.results_encoded = spec.encoded_results;
    header.timed = job->terms.timed();
    const std::uint64_t result_size = spec.encoded_results ? sizeof(ResultPlace) : spec.result_size;
    auto* const memory = dynamic_cast<SegmentInput*>(spec.memory);
    {
        Lock lock(mutex_);
        require_usable(lock);
        if (spec.count == 0) {
            job->done = true;
            return map;
        }
        auto take = [&](std::uint64_t size, const char* what) {
            job->blocks.push_back(allocate(lock, size, what));
            return job->blocks.back();
        };
        job->at = take(sizeof header, "a map");
        header.states_at = take(spec.count, "a map");
        header.inputs_at = memory ? memory->take() : 0;
        if (header.inputs_at) job->blocks.push_back(header.inputs_at);
        else header.inputs_at = take(spec.inputs.size(), "input");
        if (!spec.input_offsets.empty()) header.input_offsets_at = take(spec.input_offsets.size_bytes(), "input");
        if (result_size) {
            if (spec.count > ~std::uint64_t(0) / 2 / result_size) throw std::length_error("map: the range is too long");
            header.results_at = take(spec.count * result_size, "results");
        }
        job->callable = callables_.intern(spec.callable);
        job->label_number = insight_.label(*job->callable, job->terms.label);
        insight_.mapped(header.grouping.elements);
        globals_.used(options_.name);
        renew_snapshot(lock);
    }
    std::memcpy(segment_.data() + job->at, &header, sizeof header);
    std::memset(segment_.data() + header.states_at, 0, spec.count);
    if (std::byte* const at = segment_.data() + header.inputs_at; at != spec.inputs.data())
        in_parallel(spec.inputs.size(), copying_threads(spec.inputs.size()), [&](std::uint64_t begin, std::uint64_t end) {
            std::memcpy(at + begin, spec.inputs.data() + begin, end - begin);
        });
    if (header.input_offsets_at)
        std::memcpy(segment_.data() + header.input_offsets_at, spec.input_offsets.data(), spec.input_offsets.size_bytes());
    {
        Lock lock(mutex_);
        if (!broken_.empty() || terminated_) require_usable(lock);
        if (os::logs(LogLevel::debug)) [[unlikely]]
            os::LogLine(LogLevel::debug, "map.started").add("pool", options_.name).add("task", info(*job, 0).function).add("label", job->terms.label).add("elements", job->header.grouping.elements);
        if (insight_.session_changed()) [[unlikely]] look_around(lock);
        jobs_.push_back(job);
        if (job->limit) expect_look(*job->limit);
        try {
            begin_round(lock, job, {}, true);
        } catch (...) {
            std::erase(jobs_, job);
            throw;
        }
    }
    return map;
}

bool PoolCore::wait(Job& job, base::Deadline deadline) {
    const auto done = [&] {
        Lock lock(mutex_);
        return job.done;
    };
    if (done()) return settle(), true;
    require_owner();
    return work_until([&](const Lock&) { return job.done; }, deadline);
}

// `all`: every element; otherwise those that are named.
void PoolCore::begin_round(const Lock& lock, const std::shared_ptr<Job>& job, std::span<const std::uint64_t> elements,
                           bool all) {
    const std::uint64_t positions = all ? job->count : elements.size();
    job->round_at = allocate(lock, sizeof(Round), "a map");
    job->blocks.push_back(job->round_at);
    job->positions = positions;
    auto& round = *new (segment_.data() + job->round_at) Round{};
    round.count = positions;
    round.chunk = job->chunk;
    if (!all) {
        round.indices_at = allocate(lock, elements.size_bytes(), "a map");
        job->blocks.push_back(round.indices_at);
        std::memcpy(segment_.data() + round.indices_at, elements.data(), elements.size_bytes());
    }
    expect_memory_look();
    std::vector<Worker*> takers;
    for (auto& worker : workers_)
        if (takes_part(*job, worker)) takers.push_back(&worker);
    // With fewer elements than workers, those with the least to do.
    if (positions < takers.size()) {
        std::stable_sort(takers.begin(), takers.end(),
                         [](const Worker* a, const Worker* b) { return a->sent.size() < b->sent.size(); });
        takers.resize(positions);
    }
    round.workers = std::max<std::size_t>(1, takers.size());
    for (Worker* worker : takers) send_round(lock, job, *worker);
}

void PoolCore::send_round(const Lock& lock, const std::shared_ptr<Job>& job, Worker& worker) {
    if (job->failure || job->stopped != Job::Stopped::no || (job->worker && &worker != &workers_[*job->worker])) return;
    if (!admission_.open() && job->taking_part > 0 && !job->worker) return;
    ++job->taking_part;
    worker.queued.push_back({.kind = TaskFrameKind::map, .job = job, .job_at = job->at, .round_at = job->round_at});
    flush_queued(lock, worker);
}

// When nothing of a round is left to claim, workers that have not come to it yet need not: they may be busy for long.
void PoolCore::excuse(const Lock&, Job& job) {
    const auto& round = *reinterpret_cast<const Round*>(segment_.data() + job.round_at);
    if (job.taking_part == 0 || job.done || round.next.load(std::memory_order_relaxed) < job.positions) return;
    for (auto& worker : workers_) {
        for (auto& sent : worker.sent) {
            if (sent.job.get() != &job || !take_back(worker, sent)) continue;
            sent.job.reset();
            --job.taking_part;
        }
        job.taking_part -= std::erase_if(worker.queued, [&](const Queued& queued) { return queued.job.get() == &job; });
    }
}

// A worker has left the round, or died in it.
void PoolCore::left(const Lock& lock, const std::shared_ptr<Job>& job) {
    --job->taking_part;
    excuse(lock, *job);
    conclude(lock, job);
}

// When nobody is at it: it is over, or goes on with what is left.
void PoolCore::conclude(const Lock& lock, const std::shared_ptr<Job>& job) {
    if (job->taking_part > 0 || job->done) return;
    if (job->failure || job->stopped != Job::Stopped::no) {
        end(lock, *job);
        return;
    }
    auto* state = states(*job);
    const auto& round = *reinterpret_cast<const Round*>(segment_.data() + job->round_at);
    if (round.next.load(std::memory_order_relaxed) < job->positions) {
        // Everybody left early, to be replaced; a replacement that is there by now takes over, or else the next one will.
        for (auto& worker : workers_)
            if (takes_part(*job, worker)) send_round(lock, job, worker);
        return;
    }
    if (const auto lost = std::exchange(job->damage, nullptr)) {
        // Whatever is open was claimed by one that died, and nobody knows how far it got: none of it is run twice.
        for (std::uint64_t element = 0; element < job->count; ++element)
            if (is_open(*job, element)) element_failed(lock, job, job->damaged_by, element, lost, pool::FailureKind::crash);
        job->torn = false;
        if (job->taking_part > 0) return;
    }
    std::vector<std::uint64_t> open;
    job->resume.reset();
    const auto now = job->again.empty() ? Clock::time_point::min() : Clock::now();
    std::erase_if(job->again, [&](const Job::Again& again) {
        if (again.due > now) {
            if (!job->resume || again.due < *job->resume) job->resume = again.due;
            return false;
        }
        state[again.element].store(static_cast<std::uint8_t>(ElementState::open), std::memory_order_relaxed);
        open.push_back(again.element);
        return true;
    });
    if (std::exchange(job->torn, false)) {
        open.clear();
        for (std::uint64_t element = 0; element < job->count; ++element)
            if (is_open(*job, element)) open.push_back(element);
    }
    if (open.empty()) {
        if (job->resume) expect_look(*job->resume);
        else end(lock, *job);
        return;
    }
    try {
        begin_round(lock, job, open, false);
    } catch (...) {
        job->failure = std::current_exception();
        end(lock, *job);
    }
}

bool PoolCore::is_open(const Job& job, std::uint64_t element) const {
    return states(job)[element].load(std::memory_order_acquire) == static_cast<std::uint8_t>(ElementState::open);
}

void PoolCore::leave_unclaimed(Job& job) {
    reinterpret_cast<Round*>(segment_.data() + job.round_at)->next.store(job.positions, std::memory_order_relaxed);
}

// Nobody begins anything more of it.
void PoolCore::give_up(const Lock&, Job& job, std::exception_ptr reason) {
    if (job.failure || job.done) return;
    job.failure = std::move(reason);
    leave_unclaimed(job);
}

// The caller holds on to the job.
void PoolCore::end(const Lock& lock, Job& job) {
    // Stopped at the last moment, when all was done.
    const auto state = std::span(states(job), job.count);
    if (job.stopped != Job::Stopped::no && std::ranges::all_of(state, [](const std::atomic<std::uint8_t>& one) {
            return one.load(std::memory_order_acquire) == static_cast<std::uint8_t>(ElementState::value);
        }))
        job.stopped = Job::Stopped::no;
    job.done = true;
    if (os::logs(LogLevel::debug)) [[unlikely]]
        os::LogLine(LogLevel::debug, "map.ended").add("pool", options_.name).add("elements", job.count).add("failed", job.errors.size());
    std::erase_if(jobs_, [&](const auto& other) { return other.get() == &job; });
    job.watchers.tell();
    if (job.abandoned) release(lock, job);
    wake_callers();
}

// Nobody will look at its results; it is finished all the same.
void PoolCore::release(const std::shared_ptr<Job>& job) {
    if (owner_ != os::own_pid()) return;
    Lock lock(mutex_);
    job->abandoned = true;
    const bool begun = std::ranges::find(jobs_, job) != jobs_.end();
    if (!begun) release(lock, *job);
}

void PoolCore::release(const Lock& lock, Job& job) {
    for (const auto block : job.blocks) heap_.free(block);
    job.blocks.clear();
    if (job.encoded) {
        for (auto& worker : workers_) {
            if (!worker.lane || worker.stop_sent || !job.lanes.contains(worker.lane_number)) continue;
            worker.queued.push_back({.kind = TaskFrameKind::forget_job, .job_at = job.at});
            flush_queued(lock, worker);
        }
    }
    job.lanes.clear();
    let_go_of_callable(lock, job);
    // Pages stay for the next map, up to a point.
    constexpr std::uint64_t keep = 64 << 20;
    if (const auto unused = heap_.trim(keep))
        os::discard_pages(segment_file_.get(), unused->first, unused->second - unused->first);
}

// What the callable works in is worth keeping for the next call.
void PoolCore::let_go_of_callable(const Lock& lock, Job& job) {
    auto callable = std::move(job.callable);
    if (const auto place = job.place.lock(); place && callable)
        callable = places_.keep(place, std::move(callable), nudge_.get());
    forget(lock, std::move(callable));
}

bool PoolCore::has_value(const Job& job, std::uint64_t index) const {
    return states(job)[index].load(std::memory_order_acquire) == static_cast<std::uint8_t>(ElementState::value);
}

const std::byte* PoolCore::results(const Job& job) const {
    if (job.count == 0) return nullptr;
    return segment_.data() + job.header.results_at;
}

std::uint64_t PoolCore::encoded_bytes(const Job& job) const {
    std::uint64_t bytes = 0;
    for (std::uint64_t index = 0; index < job.count; ++index) {
        ResultPlace place;
        std::memcpy(&place, results(job) + index * sizeof place, sizeof place);
        if (has_value(job, index)) bytes += place.size;
    }
    return bytes;
}

std::span<const std::byte> PoolCore::encoded_result(const Job& job, std::uint64_t index) const {
    ResultPlace place;
    std::memcpy(&place, results(job) + index * sizeof place, sizeof place);
    const auto lane = job.lanes.find(place.lane);
    const auto bytes = lane == job.lanes.end() ? std::span<const std::byte>() : lane->second->heap(place.at, place.size);
    if (bytes.size() != place.size) throw SerializationError("the result of element " + std::to_string(index) + " is damaged");
    return bytes;
}

std::exception_ptr PoolCore::stop_error(const Job& job, std::optional<std::uint64_t> position) const {
    Lock lock(mutex_);
    TaskInfo task{.function = job.callable->name(), .label = job.terms.label};
    if (position) {
        task.index = *position * job.group;
        task.attempt = job.attempt(*position);
    }
    if (job.stopped == Job::Stopped::cancelled) return std::make_exception_ptr(TaskCancelled(std::move(task)));
    return std::make_exception_ptr(TaskTimeout(std::move(task), job.terms.timeout));
}

}  // namespace mp::detail
