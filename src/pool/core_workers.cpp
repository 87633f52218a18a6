// The life and death of workers, and the thread that watches over them.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <ranges>

#include <multiprocessing/errors.hpp>

#include "os/image.hpp"
#include "os/library_thread.hpp"
#include "os/log.hpp"
#include "os/retry.hpp"
#include "os/socket.hpp"
#include "os/threads.hpp"
#include "pool/core.hpp"
#include "pool/worker.hpp"
#include "process/worker_mode.hpp"

namespace mp::detail {

using pool::FailureKind;
using pool::TaskFrameKind;

namespace {

// Starting workers that die before they can work is given up after so many in a row.
int most_failed_starts(std::size_t workers) { return static_cast<int>(std::max<std::size_t>(5, 2 * workers)); }

}  // namespace

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
    oom_ = os::OomCounters::now();
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

    pool::WorkerStart start;
    start.lane = serial::Handle(lane->file.release());
    start.segment = serial::Handle::duplicate(segment_file_.get());
    start.socket = serial::Handle(sockets->second.release());
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

void PoolCore::wake_watch() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(nudge_.get(), &one, sizeof one));
}

void PoolCore::watch() {
    const os::IgnoredThread ignored;
    ::pthread_setname_np(::pthread_self(), "mp-pool");
    bool retry_start = false;
    int look_again = -1;
    auto next_look = Clock::time_point::max();
    bool recording = false;
    while (true) {
        std::vector<pollfd> watched{{nudge_.get(), POLLIN, 0}};
        std::vector<std::pair<std::size_t, std::shared_ptr<process::Child>>> children;
        {
            Lock lock(mutex_);
            for (std::size_t i = 0; i < workers_.size(); ++i) {
                if (!workers_[i].child) continue;
                children.emplace_back(i, workers_[i].child);
                watched.push_back({workers_[i].child->sentinel(), POLLIN, 0});
            }
            std::erase_if(leaving_, [](const Leaving& one) { return one.child->status().has_value(); });
            for (const Leaving& one : leaving_) watched.push_back({one.child->sentinel(), POLLIN, 0});
            if (children.empty() && leaving_.empty() && (stopping_ || !broken_.empty()) && questions_.empty()) return;
            next_look = next_look_;
            recording = insight_.recording();
        }
        auto until = base::Deadline::at(next_look);
        if (next_look == Clock::time_point::max()) until = base::Deadline::never();
        if (look_again >= 0) until = earlier(until, base::Deadline::after(std::chrono::milliseconds(look_again)));
        // While a session records, what workers write down is taken before they write over it.
        if (recording) until = earlier(until, base::Deadline::after(std::chrono::milliseconds(20)));
        if (retry_start) until = earlier(until, base::Deadline::after(std::chrono::milliseconds(100)));
        os::retry([&] { return ::poll(watched.data(), watched.size(), until.poll_timeout()); });
        std::uint64_t count;
        static_cast<void>(!::read(nudge_.get(), &count, sizeof count));
        if (pool::InterruptWatch::pressed()) end_by_interrupt();
        {
            Lock lock(mutex_);
            pump(lock);
            for (std::size_t i = 0; i < children.size(); ++i) {
                if (!watched[i + 1].revents) {
                    if (const auto status = ending(lock, children[i].first)) bury(lock, children[i].first, *status, true);
                } else if (const auto status = children[i].second->status()) {
                    bury(lock, children[i].first, *status, false);
                }
            }
            look_again = rebalance(lock);
            look(lock);
        }
        sample_stacks();
        look_at_memory();
        answer_questions();
        retry_start = !replace_dead();
    }
}

// False when the system refused and it is worth trying again.
bool PoolCore::replace_dead() {
    while (true) {
        std::size_t index = 0;
        {
            Lock lock(mutex_);
            if (stopping_ || !broken_.empty()) return true;
            while (index < workers_.size() && workers_[index].child) ++index;
            if (index == workers_.size()) return true;
        }
        try {
            Worker worker = launch(index);
            Lock lock(mutex_);
            install(lock, index, std::move(worker));
        } catch (const std::exception& error) {
            Lock lock(mutex_);
            // With those gone that are on their way, there may be room.
            const bool nobody = leaving_.empty() && std::ranges::none_of(workers_, [](const auto& w) { return bool(w.child); });
            const bool hopeless = method_ == StartMethod::fork && !snapshot_->alive();
            if (nobody && (hopeless || ++failed_starts_ > most_failed_starts(workers_.size()))) {
                break_pool(lock, std::string("its workers died and cannot be replaced: ") + error.what());
                return true;
            }
            return false;
        }
    }
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

// How a worker ends whose process is still there: it has crashed and writes its core, or has done its share. Its replacement
// does not wait for the process to be taken down, which takes the longer the more memory it has. But one at a time in each
// place, so that processes which are slow to end do not pile up; and none while memory is short.
std::optional<ExitStatus> PoolCore::ending(const Lock&, std::size_t index) const {
    const Worker& worker = workers_[index];
    if (auto status = worker.child->crashing()) return status;
    if (stopping_ || !worker.lane->header().planned_end.load(std::memory_order_acquire)) return std::nullopt;
    const auto before_it = [&](const Leaving& one) { return one.place == index && !one.child->status(); };
    if (!admission_.open() || std::ranges::any_of(leaving_, before_it)) return std::nullopt;
    return ExitStatus(ExitStatus::Exited{0});
}

// `ending`: its last instruction of a task has run, but its process has not gone.
void PoolCore::bury(const Lock& lock, std::size_t index, ExitStatus status, bool ending) {
    take_results(lock, index);
    Worker worker = std::move(workers_[index]);
    workers_[index] = {};
    if (status.signal() == SIGKILL) {
        const auto now = os::OomCounters::now();
        if (const auto evidence = now.evidence_since(oom_)) status.set_killed_for_memory(*evidence);
        oom_ = now;
    }
    worker.last_words = pool::last_words(worker.child->report(), options_.memory_limit, status);
    worker.last_words.ending = ending;
    if (worker.output) worker.last_words.stderr_tail = relay_->bury(worker.output);
    if (const auto evidence = worker.memory_group ? worker.memory_group->evidence() : std::nullopt;
        evidence && status.signal() == SIGKILL) {
        status.set_killed_for_memory(*evidence);
        worker.last_words.memory_limit = options_.memory_limit;
    }
    if (ending) leaving_.push_back({index, worker.child, std::exchange(worker.memory_group, std::nullopt)});
    const bool planned = worker.lane->header().planned_end.load(std::memory_order_acquire) != 0;
    insight_.gone(index, *worker.lane, {.planned = planned,
                                        .text = status.to_string(),
                                        .at_work = worker.lane->header().running.load(std::memory_order_relaxed) != 0,
                                        .element = worker.lane->header().current.load(std::memory_order_relaxed)});
    // First, since breaking the pool ends tasks that this worker's list still names.
    const bool in_task = blame(lock, worker, index, status);
    if (worker.ready) life_[index].lived += Clock::now() - life_[index].ready;
    ++(planned ? life_[index].planned_ends : worker.stopping ? life_[index].stopped : life_[index].deaths);
    if (!planned && !worker.stopping) count_death(lock, worker, status, in_task);
    wake_callers();
}

// Too many deaths break the pool.
void PoolCore::count_death(const Lock& lock, const Worker& worker, const ExitStatus& status, bool in_task) {
    if (stopping_) return;
    if (!worker.ready && ++failed_starts_ > most_failed_starts(workers_.size())) {
        break_pool(lock, "its workers end before they can work: the last one " + status.to_string());
        return;
    }
    const bool by_others = worker.ready && status.signal() == SIGKILL && !status.killed_for_memory();
    if (!in_task && by_others) return;
    if ((in_task ? task_deaths_ : restarts_).add(Clock::now()))
        break_pool(lock, "its workers die too often: the last one " + status.to_string());
}

// What the dead worker was running fails or is tried again; what it had not begun goes to others. True when it was running
// something.
bool PoolCore::blame(const Lock& lock, Worker& worker, std::size_t index, const ExitStatus& status) {
    const auto& header = worker.lane->header();
    // One that was being stopped ran that, and nothing else.
    const bool stopped = worker.stopping && worker.stopping->number != 0;
    const std::uint64_t running = header.running.load(std::memory_order_relaxed);
    const pid_t pid = worker.child->pid();
    auto lost = [&](const TaskInfo& task) {
        return pool::worker_lost(task, pid, status, worker.last_words);
    };
    // Of one that wrote over its own lane it is not known what it has run, so that nothing of it is run again.
    const bool damaged = worker.broken || worker.tasks.damaged() || worker.results.damaged();
    auto at_work = std::find_if(worker.sent.begin(), worker.sent.end(),
                                [&](const Sent& sent) { return sent.number == running; });
    // A callable that it was making is part of the work that asked for it.
    const Sent* const making = at_work != worker.sent.end() && at_work->definition ? &*at_work : nullptr;
    if (stopped) at_work = std::ranges::find(worker.sent, worker.stopping->number, &Sent::number);
    while (at_work != worker.sent.end() && !at_work->task && !at_work->job) ++at_work;
    const Sent* culprit = at_work == worker.sent.end() ? nullptr : &*at_work;
    // Unless that was taken back since: what comes next in the lane is innocent.
    if (making && !stopped && culprit && !culprit->needs(making->definition->callable)) culprit = nullptr;
    const bool task_at_work = damaged || (culprit && culprit->task);
    for (const Sent& sent : worker.sent)
        if (sent.task) sent.task->state.store(PoolTask::State::pending, std::memory_order_relaxed);
    const auto loss = schedule_.died(index, task_at_work);
    std::vector<pool::Schedule::Task> blamed;
    if (loss.blamed) blamed.push_back(*loss.blamed);
    if (damaged) {
        for (const Sent& sent : worker.sent) {
            const auto id = reinterpret_cast<std::uintptr_t>(sent.task);
            if (sent.task && schedule_.cancel(id)) blamed.push_back(id);
        }
    }
    const auto kind = status.killed_for_memory() ? FailureKind::memory : FailureKind::crash;
    for (const auto id : blamed | std::views::reverse) {
        auto& task = *reinterpret_cast<PoolTask*>(id);
        if (!broken_.empty())
            fail(lock, task, std::make_exception_ptr(PoolBroken("pool \"" + options_.name + "\" is broken: " + broken_)));
        else if (!stopped) task_failed(lock, task, index, lost(info(task)), kind);
        else if (worker.stopping->why == Stopping::Why::task_timeout)
            task_failed(lock, task, index, stop_error(worker, info(task)), FailureKind::timeout);
        else fail(lock, task, stop_error(worker, info(task)));
    }
    std::vector<std::shared_ptr<pool::Job>> jobs;
    for (const Sent& sent : worker.sent) {
        if (sent.definition && sent.definition->block) heap_.free(sent.definition->block);
        if (!sent.job || sent.job->done) continue;
        sent.job->torn = true;
        const TaskInfo whole{.function = sent.job->callable->name(), .label = sent.job->terms.label};
        if (damaged) {
            sent.job->damage = lost(whole);
            sent.job->damaged_by = index;
        }
        // A death while it is made may be chance; when every worker dies of it, it is the callable.
        constexpr int most_unmade = 5;
        if (making && &sent == culprit && ++sent.job->unmade >= most_unmade)
            give_up(lock, *sent.job, stopped ? stop_error(worker, whole) : lost(whole));
        if (sent.job->encoded) sent.job->lanes.emplace(worker.lane_number, worker.lane);
        const std::uint64_t group = sent.job->group;
        const std::uint64_t element = header.current.load(std::memory_order_relaxed);
        if (stopped && &sent == culprit && worker.stopping->element / group < sent.job->count) {
            const std::uint64_t late = worker.stopping->element;
            element_failed(lock, sent.job, index, late / group, stop_error(worker, info(*sent.job, late)), FailureKind::timeout);
        } else if (sent.number == running && element / group < sent.job->count && is_open(*sent.job, element / group)) {
            element_failed(lock, sent.job, index, element / group, lost(info(*sent.job, element)), kind);
        }
        jobs.push_back(sent.job);
    }
    for (const auto& queued : worker.queued)
        if (queued.job && !queued.job->done) jobs.push_back(queued.job);
    for (const auto& job : jobs) left(lock, job);
    return damaged || culprit;
}

// Ends all that is under way.
void PoolCore::abandon_all(const Lock& lock, const std::function<std::exception_ptr(const TaskInfo&)>& reason) {
    for (PoolTask* task : waiting_tasks(lock)) fail(lock, *task, reason(info(*task)));
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        Worker& worker = workers_[i];
        schedule_.died(i, false);
        for (const auto id : schedule_.cancel_waiting()) {
            auto& task = *reinterpret_cast<PoolTask*>(id);
            fail(lock, task, reason(info(task)));
        }
        worker.sent.clear();
        worker.queued.clear();
        if (worker.child) worker.child->signal(SIGKILL);
    }
    for (const Leaving& one : leaving_) one.child->signal(SIGKILL);
    for (const auto& job : std::vector(jobs_)) {
        job->failure = reason({.function = job->callable->name(), .label = job->terms.label});
        end(lock, *job);
    }
    wake_callers();
}

void PoolCore::break_pool(const Lock& lock, const std::string& cause) {
    if (!broken_.empty()) return;
    broken_ = cause;
    if (os::logs(LogLevel::warning)) os::LogLine(LogLevel::warning, "pool.broken").add("pool", options_.name).add("cause", cause);
    const auto error = std::make_exception_ptr(PoolBroken("pool \"" + options_.name + "\" is broken: " + cause));
    abandon_all(lock, [&](const TaskInfo&) { return error; });
    wake_watch();
}

void PoolCore::send_stop(const Lock& lock, Worker& worker) {
    if (!worker.lane || worker.stop_sent) return;
    worker.stop_sent = true;
    worker.queued.push_back({.kind = TaskFrameKind::stop});
    flush_queued(lock, worker);
}

void PoolCore::close() {
    require_owner();
    Lock lock(mutex_);
    closed_ = true;
    if (os::logs(LogLevel::info)) os::LogLine(LogLevel::info, "pool.closed").add("pool", options_.name);
}

void PoolCore::join() {
    require_owner();
    {
        Lock lock(mutex_);
        if (!closed_) throw Error("cannot join pool \"" + options_.name + "\" before close() or terminate()");
    }
    work_until([&](const Lock& lock) { return !anything_left(lock) || terminated_ || !broken_.empty(); },
               base::Deadline::never());
    {
        Lock lock(mutex_);
        stopping_ = true;
        if (!terminated_ && broken_.empty())
            for (auto& worker : workers_) send_stop(lock, worker);
    }
    wake_watch();
    std::lock_guard ending(ending_);
    if (watch_.joinable()) watch_.join();
    if (relay_) relay_->finish();
    {
        const Lock lock(mutex_);
        insight_.leave_session();
    }
    callbacks_.finish();
}

void PoolCore::terminate() {
    require_owner();
    {
        Lock lock(mutex_);
        closed_ = stopping_ = true;
        if (!terminated_) {
            terminated_ = true;
            if (os::logs(LogLevel::info)) os::LogLine(LogLevel::info, "pool.terminated").add("pool", options_.name);
            abandon_all(lock, [](const TaskInfo& task) {
                return std::make_exception_ptr(TaskCancelled(task, "the pool was terminated"));
            });
        }
    }
    wake_watch();
    std::lock_guard ending(ending_);
    if (watch_.joinable()) watch_.join();
    if (relay_) relay_->finish();
    {
        const Lock lock(mutex_);
        insight_.leave_session();
    }
    callbacks_.finish();
}

std::vector<pool::LifeCounters> PoolCore::life() const {
    Lock lock(mutex_);
    return life_;
}

std::vector<pid_t> PoolCore::pids() {
    require_owner();
    Lock lock(mutex_);
    std::vector<pid_t> list;
    for (const auto& worker : workers_)
        if (worker.child) list.push_back(worker.child->pid());
    return list;
}

}  // namespace mp::detail
