// A worker's private channel, as either side sees it.
#pragma once

#include <memory>

#include "os/mapping.hpp"
#include "pool/shared.hpp"

namespace mp::pool {

/// The memory of a lane, mapped. Both sides.
class LaneMemory {
  public:
    explicit LaneMemory(os::Mapping mapping) : mapping_(std::move(mapping)) {}

    LaneHeader& header() const { return *reinterpret_cast<LaneHeader*>(mapping_.data()); }
    std::span<std::byte> tasks() const { return mapping_.bytes().subspan(lane_tasks_at, ring_size); }
    std::span<std::byte> results() const { return mapping_.bytes().subspan(lane_results_at, ring_size); }
    trace::Ring& recorded() const { return *reinterpret_cast<trace::Ring*>(mapping_.data() + lane_record_at); }
    /// `size` bytes at `offset`; empty where that does not lie in the lane's heap.
    std::span<std::byte> heap(std::uint64_t offset, std::uint64_t size) const {
        if (offset < lane_heap_at || offset > mapping_.size() || size > mapping_.size() - offset) return {};
        return mapping_.bytes().subspan(offset, size);
    }
    std::uint64_t size() const { return mapping_.size(); }
    std::byte* data() const { return mapping_.data(); }

  private:
    os::Mapping mapping_;
};

/// A sparse memory file of `fixed` bytes and a heap behind, mapped. Where address space is limited the heap takes at most
/// one part of `parts` of what is left of it. The size is that of the mapping.
struct SharedFile {
    os::UniqueFd file;
    os::Mapping mapping;
};
base::Expected<SharedFile> make_shared_file(const char* name, std::uint64_t fixed, std::uint64_t parts);

}  // namespace mp::pool
