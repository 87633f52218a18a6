// A worker's way to its caller: results, descriptors, and calls for attention.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <multiprocessing/serialize.hpp>

#include "pool/result_heap.hpp"
#include "pool/shared.hpp"
#include "pool/task_output.hpp"
#include "pool/worker_clock.hpp"
#include "shm/wait.hpp"
#include "transport/frame_ring.hpp"

namespace mp::pool {

/// Publishes result frames in the lane, and wakes the caller when that is worth it.
class WorkerResults {
  public:
    struct To {
        LaneMemory& lane;
        SegmentHeader& segment;
        const serial::Handle& socket;
        const serial::Handle& doorbell;
    };
    /// `tasks`: the worker's own, to see whether it has nothing left to do. All must outlive this.
    WorkerResults(const To& to, const transport::FrameReader& tasks, ResultHeap& heap, TaskOutput& output,
                  WorkerClock& clock)
        : to_(to),
          tasks_(tasks),
          heap_(heap),
          output_(output),
          clock_(clock),
          frames_(to.lane.header().results, to.lane.results()) {}

    /// Sends a frame, after what was printed and the descriptors. `important`: the caller should look now, asleep or
    /// not. Waits for room; throws SystemError when there is no memory for the payload.
    void publish(const ResultFrame& result, std::span<const std::byte> payload, std::span<const serial::Handle> handles,
                 bool important);
    /// Calls the pool's own thread.
    void ring_doorbell();

  private:
    std::byte* wait_for_room(std::size_t size);
    void call_for_help();
    void nudge();
    void send_handles(std::span<const serial::Handle> handles);

    To to_;
    const transport::FrameReader& tasks_;
    ResultHeap& heap_;
    TaskOutput& output_;
    WorkerClock& clock_;
    transport::FrameWriter frames_;
    shm::Patience patience_;
};

/// The next descriptors that wait in the worker's socket. Throws Closed when the pool is gone.
std::vector<serial::Handle> take_handles(const serial::Handle& socket, std::size_t count);

}  // namespace mp::pool
