#include "pool/worker_results.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <multiprocessing/errors.hpp>

#include "os/socket.hpp"

namespace mp::pool {

void WorkerResults::publish(const ResultFrame& result, std::span<const std::byte> payload,
                            std::span<const serial::Handle> handles, bool important) {
    ResultFrame frame = result;
    frame.payload_size = payload.size();
    std::size_t inline_size = payload.size();
    if (payload.size() > max_inline) {
        frame.payload_at = heap_.allocate(payload.size());
        std::memcpy(to_.lane.data() + frame.payload_at, payload.data(), payload.size());
        inline_size = 0;
    }
    frame.printed = output_.flush();
    frame.handles = static_cast<std::uint32_t>(handles.size()) & 0x7fffffff;
    if (!handles.empty()) send_handles(handles);
    std::byte* place = frames_.reserve(sizeof frame + inline_size);
    if (!place) place = wait_for_room(sizeof frame + inline_size);
    std::memcpy(place, &frame, sizeof frame);
    if (inline_size) std::memcpy(place + sizeof frame, payload.data(), inline_size);
    frames_.commit();
    const bool idle = !tasks_.ready();
    if (important || idle || frame.number >= to_.lane.header().awaited.load(std::memory_order_relaxed))
        shm::notify<shm::Ordering::fenced>(to_.segment.caller_wake);
    if (idle) nudge();
}

// Whoever waits, or else the pool's own thread, empties the ring.
std::byte* WorkerResults::wait_for_room(std::size_t size) {
    std::byte* place = nullptr;
    clock_.lose();
    call_for_help();
    shm::wait_until<shm::Ordering::fenced>(
        to_.lane.header().result_room, [&] { return (place = frames_.reserve(size)) != nullptr; }, base::Deadline::never(),
        patience_, [&] {
            call_for_help();
            return true;
        });
    return place;
}

void WorkerResults::call_for_help() {
    to_.segment.nudge.store(1, std::memory_order_relaxed);
    shm::notify<shm::Ordering::fenced>(to_.segment.caller_wake);
    nudge();
}

// The pool's own thread, when it wants that: nobody else may be there to hand out tasks.
void WorkerResults::nudge() {
    if (to_.segment.nudge.load(std::memory_order_relaxed) && to_.segment.nudge.exchange(0, std::memory_order_relaxed))
        ring_doorbell();
}

void WorkerResults::ring_doorbell() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(to_.doorbell.fd(), &one, sizeof one));
}

void WorkerResults::send_handles(std::span<const serial::Handle> handles) {
    constexpr std::size_t batch = os::max_descriptors_a_message;
    for (std::size_t sent = 0; sent < handles.size(); sent += batch) {
        std::vector<int> fds;
        for (const auto& handle : handles.subspan(sent, std::min(batch, handles.size() - sent)))
            fds.push_back(handle.fd());
        const std::byte something{1};
        if (auto done = os::send_message(to_.socket.fd(), std::span(&something, 1), fds); !done)
            throw SystemError(done.error(), "cannot send the descriptors of a result");
    }
}

std::vector<serial::Handle> take_handles(const serial::Handle& socket, std::size_t count) {
    std::vector<serial::Handle> handles;
    std::byte nothing;
    while (handles.size() < count) {
        auto received = os::receive_message(socket.fd(), std::span(&nothing, 1));
        if (!received) throw SystemError(received.error(), "cannot receive the descriptors of a task");
        if (received->descriptors.empty()) throw Closed("cannot receive the descriptors of a task: the pool is gone");
        for (auto& fd : received->descriptors) handles.emplace_back(fd.release());
    }
    return handles;
}

}  // namespace mp::pool
