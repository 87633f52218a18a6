// What a pool and its workers share: the layouts of their memory and of the frames between them.
//
// Each worker has a lane of its own - a memory file that only it and the caller map - with a ring of tasks, a ring of
// results and room for large results. All share one segment, in which maps schedule themselves and large arguments lie.
// Nothing of the caller's bookkeeping is in shared memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pool/map_progress.hpp"
#include "shm/wait.hpp"
#include "trace/ring.hpp"
#include "transport/frame_ring.hpp"

namespace mp::pool {

inline constexpr std::uint64_t none = ~std::uint64_t(0);

/// At the start of a lane.
struct LaneHeader {
    transport::RingIndices tasks;                      // caller -> worker
    transport::RingIndices results;                    // worker -> caller
    alignas(128) shm::WakeWord task_wake;              // the worker alone sleeps here for tasks, soundly; notified by the caller
    shm::WakeWord result_room;                         // and here when the ring of results is full
    alignas(128) std::atomic<std::uint64_t> awaited;   // number of the task somebody waits for, none; written by the caller
    // What follows is written by the worker and read by the caller: always hints, and facts once the worker is dead.
    alignas(128) std::atomic<std::uint64_t> running;   // number of the frame being worked on; 0: none
    std::atomic<std::uint64_t> claim_begin;            // positions of the round that are claimed: stored before
    std::atomic<std::uint64_t> claim_end;              // the first of them is run, claim_end last
    std::atomic<std::uint64_t> current;                // element being run, or none
    std::atomic<std::uint64_t> started;                // when the task, or the element of a map with a limit, began:
                                                       // CLOCK_MONOTONIC, stored before `running` or `current` (release)
    std::atomic<std::uint32_t> planned_end;            // 1: it exits because it was told to or has done its share
    std::atomic<std::uint32_t> ready;                  // 1: the initializer has run
    alignas(128) std::atomic<std::uint64_t> leave;     // number of the map to be left before its next element; written by
                                                       // the caller, read by the worker
};
static_assert(sizeof(LaneHeader) == 256 + 256 + 128 * 4);

inline constexpr std::uint64_t ring_size = 256 * 1024;
inline constexpr std::uint64_t lane_tasks_at = 4096;
inline constexpr std::uint64_t lane_results_at = lane_tasks_at + ring_size;
inline constexpr std::uint64_t lane_record_at = lane_results_at + ring_size;  // no page of it is touched unless a session records
inline constexpr std::uint64_t lane_heap_at = lane_record_at + trace::ring_size;
static_assert(sizeof(LaneHeader) <= lane_tasks_at);

/// Larger arguments and results lie beside the rings.
inline constexpr std::uint64_t max_inline = 8 * 1024;

/// At the start of the segment.
struct SegmentHeader {
    alignas(128) shm::WakeWord caller_wake;            // whoever waits for results sleeps here; notified by workers
    alignas(128) std::atomic<std::uint32_t> nudge;     // 1: a worker that runs dry writes to the eventfd; taken by it
};
inline constexpr std::uint64_t segment_heap_at = 4096;
static_assert(sizeof(SegmentHeader) <= segment_heap_at);

/// One pass over elements of a map. Workers claim positions from `next`; the caller adds rounds for what a death left.
struct Round {
    alignas(128) std::atomic<std::uint64_t> next;      // first position nobody has claimed; fetch_add or CAS by workers
    alignas(128) std::uint64_t count;                  // positions; the rest is written by the caller before it is sent
    std::uint64_t indices_at;                          // element of each position, in the segment; 0: the position
    std::uint64_t chunk;                               // positions a claim; 0: by measured time
    std::uint64_t workers;                             // who take part
};

/// A map in the segment: where its parts are.
struct JobHeader {
    std::uint64_t count;
    std::uint64_t inputs_at;
    std::uint64_t input_offsets_at;                    // 0: `inputs` is an array, or the bounds of a range
    std::uint64_t results_at;                          // array of results or of ResultPlace; 0: no results
    std::uint64_t results_encoded;                     // 1: ResultPlace
    std::uint64_t timed;                               // 1: workers tell when each element began
    std::uint64_t states_at;                           // one ElementState an element
    std::uint64_t call;                                // its number among the pool's calls, for task_rng()
    Grouping grouping;                                 // for what is shown; `count` and all above is in positions
};

/// Where an encoded result lies: in the heap of a lane.
struct ResultPlace {
    std::uint64_t at;
    std::uint64_t size;
    std::uint64_t lane;
};

/// Before each block in a lane's heap: the caller stores 0 when it needs the block no longer.
struct BlockHeader {
    std::atomic<std::uint64_t> in_use;
    std::uint64_t size;
};

enum class TaskFrameKind : std::uint32_t { define, forget_callable, forget_callables, task, map, forget_job, stop };

inline constexpr std::uint32_t frame_open = 0, frame_begun = 1, frame_withdrawn = 2;

/// Caller -> worker. Payload follows, or lies in the segment when `payload_at` is not 0.
struct TaskFrame {
    TaskFrameKind kind{};
    std::uint32_t callable{};          // define, forget_callable, task, map
    std::uint64_t number{};            // of this frame, ascending; of the job for forget_job
    std::uint64_t payload_at{};        // map: 0
    std::uint64_t payload_size{};
    std::uint64_t job_at{};            // map; of a task the number of its call, for task_rng()
    std::uint64_t round_at{};          // map; of a task its index in the call, or none
    std::uint32_t handles{};           // descriptors that wait in the socket
    std::uint32_t notify{};            // 1: tell the caller when this one is done
    std::uint32_t taken{};             // frame_open until one side exchanges it: the worker before it begins a task or a
                                       // map, the caller to give it to somebody else. Accessed as atomic, acq_rel
    std::uint32_t label{};             // task, map: what it is called on the status page
};

enum class ResultFrameKind : std::uint32_t {
    globals,        // payload: what its variables held at first; on request only
    ready,          // the initializer has run
    init_failed,    // payload: ExceptionRecord; the worker exits
    value,
    failed,         // payload: ExceptionRecord
    element_failed, // payload: ExceptionRecord; `element`
    map_left,       // no position of the round is left for this worker
};

/// Worker -> caller. Payload follows, or lies in the lane's heap when `payload_at` is not 0.
struct ResultFrame {
    ResultFrameKind kind{};
    std::uint32_t handles : 31 {};
    std::uint32_t printed : 1 {};      // 1: there is output in the worker's pipes to be shown before this
    std::uint64_t number{};            // of the TaskFrame
    std::uint64_t element{};
    std::uint64_t payload_at{};
    std::uint64_t payload_size{};
    std::uint64_t nanoseconds{};       // how long it ran
    std::uint64_t elements{};          // map_left: how many it ran
};

}  // namespace mp::pool
