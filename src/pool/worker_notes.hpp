// What a worker writes down of what it does, for whoever wants to look.
#pragma once

#include <cstdint>
#include <utility>

#include "pool/lane.hpp"
#include "pool/worker_clock.hpp"
#include "trace/ring.hpp"
#include "trace/status_page.hpp"

namespace mp::pool {

/// The worker's place on the status page, and the record of a session.
class WorkerNotes {
  public:
    WorkerNotes(LaneMemory& lane, trace::StatusWriter status) : lane_(lane), status_(std::move(status)) {}

    trace::StatusWriter& status() { return status_; }

    /// A task or a stretch of elements has ended.
    void ended(WorkerTime begin, WorkerTime end, std::uint32_t label, std::uint64_t element, std::uint64_t count,
               std::uint64_t failed) {
        if (count == 0) return;
        status_.end(nanoseconds(begin), nanoseconds(end), label, element, count);
        if (status_.recording()) [[unlikely]]
            trace::write(lane_.recorded(), {nanoseconds(begin), nanoseconds(end), element, count, label,
                                            static_cast<std::uint32_t>(failed)});
    }

  private:
    LaneMemory& lane_;
    trace::StatusWriter status_;
};

}  // namespace mp::pool
