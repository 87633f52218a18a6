// A worker's part in a map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>

#include <multiprocessing/detail/pool_entry.hpp>

#include "os/mapping.hpp"
#include "pool/chunk_size.hpp"
#include "pool/shared.hpp"
#include "pool/worker_callables.hpp"
#include "pool/worker_notes.hpp"
#include "pool/worker_results.hpp"
#include "pool/worker_share.hpp"
#include "pool/worker_slabs.hpp"

namespace mp::pool {

/// Claims stretches of a map's positions, runs them, and tells the caller what failed.
class WorkerMap final : public detail::MapSink {
  public:
    struct Parts {
        const os::Mapping& segment;
        LaneMemory& lane;
        const WorkerCallables& callables;
        WorkerNotes& notes;
        WorkerResults& results;
        WorkerShare& share;
    };
    /// All of `parts` must outlive this.
    WorkerMap(const Parts& parts, ResultHeap& heap, std::uint64_t lane_number, std::uint64_t seed)
        : parts_(parts), lane_number_(lane_number), seed_(seed), slabs_(parts.lane, heap) {}

    /// Takes part in the round of a frame, which began at that moment, until nothing of it is left to claim, it is to
    /// be left, or the worker has done its share.
    void run(const TaskFrame& frame, WorkerTime began);
    /// The caller needs its results no longer.
    void forget(std::uint64_t job) { slabs_.forget(job); }

    void element_failed(std::uint64_t index) noexcept override;
    bool element_begins(const detail::MapCall& call, std::uint64_t index) noexcept override;
    std::span<std::byte> room() override { return slabs_.room(); }
    void element_encoded(std::uint64_t index, std::span<const std::byte> bytes) override;

  private:
    detail::MapCall open(const TaskFrame& frame, const JobHeader& job, const Round& round);
    bool claim(Round& round, const ChunkSize& chunk, std::uint64_t elements, detail::MapCall& call);
    WorkerTime run_claim(const WorkerCallable& function, detail::MapCall& call, const Grouping& grouping,
                         std::uint32_t label, WorkerTime begin, std::uint64_t mean);
    void fail_all(const detail::MapCall& call, const std::exception_ptr& reason);

    Parts parts_;
    std::uint64_t lane_number_;
    std::uint64_t seed_;
    WorkerSlabs slabs_;
    std::uint64_t number_ = 0;     // of the frame at work
    std::byte* places_ = nullptr;  // of the results of the map at work
    std::uint64_t failed_ = 0;     // elements of the stretch at work
};

}  // namespace mp::pool
