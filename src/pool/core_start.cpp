// The beginning of a pool, and of each of its workers.
#include <signal.h>
#include <sys/eventfd.h>

#include <multiprocessing/errors.hpp>

#include "os/image.hpp"
#include "os/library_thread.hpp"
#include "os/socket.hpp"
#include "pool/core.hpp"
#include "pool/worker.hpp"
#include "process/worker_mode.hpp"

namespace mp::detail {

void PoolCore::start() {
    if (started_.load(std::memory_order_acquire)) return;
    std::lock_guard starting(starting_);
    if (started_.load(std::memory_order_relaxed)) return;
    process::require_not_runaway_copy();
    owner_ = os::own_pid();
    auto segment = pool::make_shared_file("multiprocessing pool", pool::segment_heap_at, 4);
    if (!segment) throw SystemError(segment.error(), "cannot make the shared memory of pool \"" + options_.name + '"');
    segment_file_ = std::move(segment->file);
    segment_ = std::move(segment->mapping);
    heap_ = pool::Heap(pool::segment_heap_at, segment_.size());
    nudge_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!nudge_) throw SystemError(base::last_error(), "cannot make the doorbell of pool \"" + options_.name + '"');
    if (method_ == StartMethod::fork) take_snapshot();
    // After the snapshot, which must not see another thread.
    if (options_.output != Output::inherit)
        relay_ = std::make_unique<pool::OutputRelay>(options_.name, options_.output, options_.output_limit);
    insight_.start(options_.name, workers_.size(), options_.memory_limit.value_or(0));
    {
        const Lock lock(mutex_);
        look_around(lock);
    }
    oom_ = os::OomCounters::now();
    try {
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            Worker worker = launch(i);
            Lock lock(mutex_);
            install(lock, i, std::move(worker));
        }
        admission_ = pool::Admission(pool::read_memory().available);
        interrupts_.emplace(nudge_.get());
        watch_ = os::start_library_thread("cannot start the thread of pool \"" + options_.name + '"', [this] {
            watch();
            interrupts_.reset();
        });
    } catch (...) {
        interrupts_.reset();
        // Those that did start end with the owner's end of their lifelines.
        for (auto& worker : workers_) {
            if (!worker.child) continue;
            worker.child->signal(SIGKILL);
            worker.child->wait(base::Deadline::never());
            worker = {};
        }
        throw;
    }
    started_.store(true, std::memory_order_release);
}

PoolCore::Worker PoolCore::launch(std::size_t index) {
    auto fail = [&](std::error_code error, const char* what) {
        throw SystemError(error, "cannot start a worker of pool \"" + options_.name + "\": " + what);
    };
    Worker worker;
    auto lane = pool::make_shared_file("multiprocessing lane", pool::lane_heap_at, 4 * workers_.size());
    if (!lane) fail(lane.error(), "its shared memory");
    worker.lane = std::make_shared<pool::LaneMemory>(std::move(lane->mapping));
    auto& header = worker.lane->header();
    header.awaited.store(pool::none, std::memory_order_relaxed);
    header.current.store(pool::none, std::memory_order_relaxed);
    auto sockets = os::socket_pair();
    if (!sockets) fail(sockets.error(), "socketpair");
    worker.socket = std::move(sockets->first);
    worker.tasks = transport::FrameWriter(header.tasks, worker.lane->tasks());
    worker.results = transport::FrameReader(header.results, worker.lane->results());
    {
        Lock lock(mutex_);
        worker.lane_number = next_lane_++;
        worker.snapshot = snapshot_;
    }

    pool::WorkerStart start = describe(index, worker);
    start.lane = serial::Handle(lane->file.release());
    start.socket = serial::Handle(sockets->second.release());
    process::LaunchSpec spec;
    spec.name = options_.name + '-' + std::to_string(index + 1);
    pool::OutputRelay::Ends ends;
    if (relay_) {
        auto opened = relay_->open(spec.name);
        if (!opened) fail(opened.error(), "pipes for its output");
        ends = std::move(*opened);
        worker.output = ends.worker;
        spec.output = ends.output.get();
        spec.error = ends.error.get();
        start.relayed = true;
        start.tagged = options_.output == Output::tagged;
    }
    if (options_.memory_limit) {
        start.memory_limit = *options_.memory_limit;
        auto group = os::MemoryGroup::make("multiprocessing-" + std::to_string(owner_) + '-' + spec.name + '-' +
                                               std::to_string(worker.lane_number), start.memory_limit);
        if (group) {
            start.memory_group = serial::Handle::duplicate(group->members().get());
            worker.memory_group = std::move(*group);
        }
    }
    serial::Writer arguments;
    pool::encode_worker_start(arguments, start);
    spec.method = method_;
    spec.entry = identify(pool::worker_entry());
    spec.arguments = arguments.bytes();
    spec.handles = arguments.handles();
    spec.snapshot = worker.snapshot;
    insight_.launching(index);
    worker.child = process::launch(spec);
    return worker;
}

// What is known before the worker's own handles are there.
pool::WorkerStart PoolCore::describe(std::size_t index, const Worker& worker) const {
    pool::WorkerStart start;
    start.segment = serial::Handle::duplicate(segment_file_.get());
    start.nudge = serial::Handle::duplicate(nudge_.get());
    start.status = serial::Handle::duplicate(insight_.file());
    start.status_size = insight_.size();
    start.place = index;
    start.lane_size = worker.lane->size();
    start.segment_size = segment_.size();
    start.lane_number = worker.lane_number;
    start.max_tasks = static_cast<std::uint64_t>(options_.max_tasks_per_worker.value_or(0));
    start.seed = options_.seed;
    if (options_.max_worker_age && !options_.max_worker_age->unlimited())
        start.max_age = static_cast<std::uint64_t>(options_.max_worker_age->nanoseconds().count());
    start.max_growth = options_.max_worker_growth.value_or(0);
    if (options_.initializer) {
        start.initializer = identify(*options_.initializer.entry());
        const auto& state = options_.initializer.state();
        start.initializer_state.assign(state.bytes().begin(), state.bytes().end());
        start.initializer_handles.assign(state.handles().begin(), state.handles().end());
    }
    return start;
}

void PoolCore::install(const Lock& lock, std::size_t index, Worker worker) {
    worker.generation = callables_.generation();
    if (awaiting_any_) worker.lane->header().awaited.store(0, std::memory_order_relaxed);
    insight_.launched(index, worker.child->pid());
    workers_[index] = std::move(worker);
    ++life_[index].starts;
    life_[index].started = Clock::now();
    if (stopping_ || terminated_ || !broken_.empty()) {
        if (stopping_ && !terminated_ && broken_.empty()) send_stop(lock, workers_[index]);
        else workers_[index].child->signal(SIGKILL);
        return;
    }
    // Forked from a snapshot that became too old meanwhile.
    if (workers_[index].snapshot != snapshot_) return send_stop(lock, workers_[index]);
    schedule_.open(index);
    for (const auto& job : std::vector(jobs_)) send_round(lock, job, workers_[index]);
    hand_out(lock);
}

void PoolCore::take_snapshot() {
    // What each worker runs first is named now, so that the snapshot knows the name.
    if (options_.initializer) static_cast<void>(identify(*options_.initializer.entry()));
    names_in_snapshot_ = os::names_in_image();
    snapshot_ = process::Forkserver::snapshot();
}

// A snapshot does not have the functions that were generated after it, for instance in a REPL: then a new one is made, and
// the workers end after what they have, and are replaced by workers of the new one. Called before anything is sent that may
// name such a function. Throws UnsafeFork.
void PoolCore::renew_snapshot(const Lock& lock) {
    if (method_ != StartMethod::fork || os::names_in_image() == names_in_snapshot_) return;
    take_snapshot();
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        schedule_.close(i);
        send_stop(lock, workers_[i]);
    }
    wake_watch();
}

}  // namespace mp::detail
