// What comes out of the lanes: results, errors, and the end of a round.
#include <cstring>

#include <multiprocessing/errors.hpp>

#include "os/socket.hpp"
#include "pool/core.hpp"
#include "serial/exception_record.hpp"

namespace mp::detail {

using pool::FailureKind;
using pool::ResultFrame;
using pool::ResultFrameKind;

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
    if (insight_.recording()) insight_.drain(index, *worker.lane);
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
        return frame.payload_at ? pool::TaskBytes(worker.lane, frame.payload_at, frame.payload_size)
                                : pool::TaskBytes(payload);
    };
    auto error_of = [&](const TaskInfo& task) {
        const pool::TaskBytes bytes = keep();
        try {
            return serial::to_exception(serial::decode_exception(bytes.bytes()), task);
        } catch (...) {
            return std::current_exception();
        }
    };
    if (frame.printed && relay_) relay_->expect();
    if (frame.kind == ResultFrameKind::globals) {
        const pool::TaskBytes bytes = keep();
        globals_.fresh(options_.name, bytes.bytes());
        return;
    }
    if (frame.kind == ResultFrameKind::ready) {
        worker.ready = true;
        life_[index].ready = Clock::now();
        life_[index].initializing += life_[index].ready - life_[index].started;
        insight_.ready(index);
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
        if (const auto& definition = worker.sent.front().definition; definition && definition->block)
            heap_.free(definition->block);
        worker.sent.pop_front();
    }
    if (worker.sent.empty() || worker.sent.front().number != frame.number) {
        worker.broken = true;
        return;
    }
    if (frame.kind == ResultFrameKind::element_failed) {
        const auto job = worker.sent.front().job;
        if (!job || frame.element / job->group >= job->count) {
            worker.broken = true;
            return;
        }
        const std::uint64_t position = frame.element / job->group;
        if (worker.stopping && worker.stopping->number == frame.number && worker.stopping->element / job->group == position)
            static_cast<void>(keep());  // it has come to an end, too late; map_left follows
        else
            element_failed(lock, job, index, position, error_of(info(*job, frame.element)), FailureKind::exception);
        return;
    }
    const Sent sent = std::move(worker.sent.front());
    worker.sent.pop_front();
    worker.answered = frame.number;
    if (worker.stalled) {
        worker.stalled = false;
        if (!worker.stopping) schedule_.open(index);
    }
    life_[index].busy += std::chrono::nanoseconds(frame.nanoseconds);
    const bool stopped = worker.stopping && worker.stopping->number == frame.number;
    if (frame.kind == ResultFrameKind::map_left && sent.job) {
        if (sent.job->encoded) sent.job->lanes.emplace(worker.lane_number, worker.lane);
        sent.job->unmade = 0;
        life_[index].tasks += frame.elements;
        if (stopped) {
            const std::uint64_t element = worker.stopping->element;
            if (const auto position = element / sent.job->group; position < sent.job->count)
                element_failed(lock, sent.job, index, position, stop_error(worker, info(*sent.job, element)), FailureKind::timeout);
            settle(lock, index);
        }
        left(lock, sent.job);
        return;
    }
    if (!sent.task) {
        worker.broken = true;
        return;
    }
    PoolTask& task = *sent.task;
    schedule_.done(index, frame.nanoseconds);
    window_.store(schedule_.window(), std::memory_order_relaxed);
    ++life_[index].tasks;
    auto& awaited = worker.lane->header().awaited;
    if (awaited.load(std::memory_order_relaxed) <= frame.number) awaited.store(awaiting_any_ ? 0 : pool::none, std::memory_order_relaxed);
    if (stopped) {
        // Whatever it ended with, it was too late.
        static_cast<void>(keep());
        static_cast<void>(take_handles(worker, frame.handles));
        const bool may_again = worker.stopping->why == Stopping::Why::task_timeout;
        auto error = stop_error(worker, info(task));
        settle(lock, index);
        if (may_again) task_failed(lock, task, index, std::move(error), FailureKind::timeout);
        else fail(lock, task, std::move(error));
    } else if (frame.kind == ResultFrameKind::value) {
        if (frame.handles) [[unlikely]] task.rarely().result_handles = take_handles(worker, frame.handles);
        finish(lock, task, keep());
    } else {
        task_failed(lock, task, index, error_of(info(task)), FailureKind::exception);
    }
}

}  // namespace mp::detail
