// What goes into the lanes: frames, callables, descriptors; and what can be taken back.
#include <cstring>

#include <multiprocessing/errors.hpp>

#include "os/socket.hpp"
#include "pool/core.hpp"

namespace mp::detail {

using pool::Callable;
using pool::TaskFrame;
using pool::TaskFrameKind;

// In mode tagged: what the lines of the frame to be put next begin with. Before the worker can begin it.
void PoolCore::name_output(const Lock&, const Worker& worker, const Callable& callable, const std::string& label) {
    if (options_.output == Output::tagged)
        relay_->name_frame(worker.output, worker.next_number, label.empty() ? callable.name() : label);
}

// Takes a frame back that its worker has not begun.
bool PoolCore::take_back(Worker& worker, const Sent& sent) {
    // What was released has been begun, and other bytes may stand there. Only this process writes there, under the lock.
    if (worker.tasks.released(sent.position)) return false;
    std::uint32_t open = pool::frame_open;
    return std::atomic_ref(reinterpret_cast<TaskFrame*>(sent.place)->taken)
        .compare_exchange_strong(open, pool::frame_withdrawn, std::memory_order_acq_rel);
}

// Null when there is no room. What the frame stands for is to be noted in what is returned.
PoolCore::Sent* PoolCore::put(const Lock&, Worker& worker, const TaskFrame& frame, std::span<const std::byte> payload) {
    std::byte* place = worker.tasks.reserve(sizeof frame + payload.size());
    if (!place) return nullptr;
    auto* const put = new (place) TaskFrame(frame);
    put->number = worker.next_number;
    if (!payload.empty()) std::memcpy(place + sizeof frame, payload.data(), payload.size());
    worker.sent.push_back({.number = worker.next_number, .place = place, .position = worker.tasks.reserved_at()});
    ++worker.next_number;
    worker.tasks.commit();
    shm::notify<shm::Ordering::fenced>(worker.lane->header().task_wake);
    return &worker.sent.back();
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

bool PoolCore::define(const Lock& lock, Worker& worker, Callable& callable, std::chrono::nanoseconds limit) {
    if (worker.generation != callable.generation) {
        // Tasks of an older generation that still wait are given numbers of the new one.
        callables_.renew(callable);
        if (worker.generation != callables_.generation()) {
            if (!put(lock, worker, {.kind = TaskFrameKind::forget_callables}, {})) return false;
            worker.generation = callables_.generation();
            worker.knows.clear();
        }
    }
    if (callable.number < worker.knows.size() && worker.knows[callable.number]) return true;
    serial::Writer writer;
    serial::encode(writer, callable.entry);
    writer.write(callable.state.data(), callable.state.size());
    TaskFrame frame{.kind = TaskFrameKind::define, .callable = callable.number, .payload_size = writer.bytes().size()};
    frame.handles = static_cast<std::uint32_t>(callable.handles.size());
    auto definition = std::make_unique<Definition>(Definition{.limit = limit, .callable = callable.id()});
    std::span<const std::byte> payload = writer.bytes();
    if (!worker.tasks.reserve(sizeof frame + (payload.size() > pool::max_inline ? 0 : payload.size()))) return false;
    if (payload.size() > pool::max_inline) {
        definition->block = frame.payload_at = allocate(lock, payload.size(), "a callable's state");
        std::memcpy(segment_.data() + definition->block, payload.data(), payload.size());
        payload = {};
    }
    // The last that can fail: descriptors in the socket must be followed by their frame.
    try {
        if (frame.handles && !send_handles(worker, callable.handles)) {
            if (definition->block) heap_.free(definition->block);
            return false;
        }
    } catch (...) {
        if (definition->block) heap_.free(definition->block);
        throw;
    }
    put(lock, worker, frame, payload)->definition = std::move(definition);
    if (worker.knows.size() <= callable.number) worker.knows.resize(callable.number + 1);
    worker.knows[callable.number] = true;
    return true;
}

bool PoolCore::send_task(const Lock& lock, std::size_t index, PoolTask& task, bool notify) {
    Worker& worker = workers_[index];
    if (!worker.queued.empty() || !define(lock, worker, *task.callable, task.terms->task_timeout)) return false;
    TaskFrame frame{.kind = TaskFrameKind::task, .callable = task.callable->number};
    frame.payload_at = task.bytes_.segment_at();
    frame.payload_size = task.bytes_.size();
    if (task.has_handles()) [[unlikely]] frame.handles = static_cast<std::uint32_t>(task.rare->handles.size());
    frame.notify = notify;
    frame.job_at = task.call;
    frame.round_at = task.index == PoolTask::no_index ? pool::none : task.index;
    frame.label = task.label_number;
    const auto payload = task.bytes_.bytes();
    // Descriptors in the socket must be followed by their frame.
    if (frame.handles && (!worker.tasks.reserve(sizeof frame + payload.size()) || !send_handles(worker, task.rare->handles)))
        return false;
    name_output(lock, worker, *task.callable, task.terms->label);
    if (task.terms->timed()) expect_look(Clock::now() + task.terms->task_timeout);
    Sent* const sent = put(lock, worker, frame, payload);
    if (!sent) return false;
    sent->task = &task;
    task.worker = static_cast<std::uint32_t>(index);
    task.number = sent->number;
    task.state.store(PoolTask::State::sent, std::memory_order_relaxed);
    return true;
}

bool PoolCore::flush_queued(const Lock& lock, Worker& worker) {
    if (!worker.queued.empty()) frames_wait_ = true;  // until a look at all lanes finds none
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
                if (!define(lock, worker, *queued.job->callable, queued.job->terms.task_timeout)) return false;
            } catch (...) {
                // No memory for its callable, no descriptors for its handles.
                const auto job = queued.job;
                worker.queued.pop_front();
                give_up(lock, *job, std::current_exception());
                left(lock, job);
                continue;
            }
            frame.callable = queued.job->callable->number;
            frame.label = queued.job->label_number;
        }
        if (queued.job) name_output(lock, worker, *queued.job->callable, queued.job->terms.label);
        if (queued.job && queued.job->terms.timed()) expect_look(Clock::now() + queued.job->terms.task_timeout);
        Sent* const sent = put(lock, worker, frame, {});
        if (!sent) return false;
        sent->job = queued.job;
        worker.queued.pop_front();
    }
    return true;
}

}  // namespace mp::detail
