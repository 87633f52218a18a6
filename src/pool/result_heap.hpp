// Where a worker puts results that are too large for its ring.
#pragma once

#include <cstdint>
#include <deque>

#include "pool/heap.hpp"
#include "pool/lane.hpp"

namespace mp::pool {

/// Blocks in the lane's heap, taken back once the caller has said that it needs them no longer.
class ResultHeap {
  public:
    explicit ResultHeap(LaneMemory& lane) : lane_(lane), heap_(lane_heap_at, lane.size()) {}

    /// The offset of a payload of `size` bytes. Throws SystemError when there is no memory.
    std::uint64_t allocate(std::uint64_t size);
    /// Gives back a block that the caller never saw, or has done with as a whole map.
    void release(std::uint64_t payload);

  private:
    BlockHeader& header(std::uint64_t block) { return *reinterpret_cast<BlockHeader*>(lane_.data() + block); }
    void collect();

    LaneMemory& lane_;
    Heap heap_;
    std::deque<std::uint64_t> blocks_;
    std::size_t collect_at_ = 4;
};

}  // namespace mp::pool
