// What runs in a pool's worker process.
#pragma once

#include <optional>
#include <vector>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/serialize.hpp>


namespace mp::pool {

/// What a new worker is told; written by the caller with encode_worker_start(), read in the worker. The handles of lane,
/// segment, socket, nudge, status and memory group precede those of the initializer.
struct WorkerStart {
    serial::Handle lane, segment, socket, nudge, status;
    std::uint64_t lane_size = 0;
    std::uint64_t segment_size = 0;
    std::uint64_t status_size = 0;
    std::uint64_t place = 0;                          // in the pool, from 0
    std::uint64_t lane_number = 0;
    std::uint64_t max_tasks = 0;                      // 0: no limit
    std::uint64_t seed = 0;                           // of task_rng()
    std::uint64_t memory_limit = 0;                   // bytes; 0: none
    bool relayed = false;                             // standard output and error go to the pool's OutputRelay
    bool tagged = false;                              // which wants to know whose lines they are
    std::optional<serial::Handle> memory_group{};     // cgroup.procs of the group that limits it
    std::uint64_t max_age = 0;                        // nanoseconds; 0: no limit
    std::uint64_t max_growth = 0;                     // bytes of private memory; 0: no limit
    std::optional<detail::EntryId> initializer{};     // a PoolEntry of a task without arguments
    std::vector<std::byte> initializer_state{};
    std::vector<serial::Handle> initializer_handles{};
};

void encode_worker_start(serial::Writer& writer, const WorkerStart& start);
WorkerStart decode_worker_start(serial::Reader& reader);

/// The entry of the process.
const detail::EntryRecord& worker_entry();

}  // namespace mp::pool
