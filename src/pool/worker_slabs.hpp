// Where a worker keeps the encoded results of a map.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <unordered_map>
#include <vector>

#include "pool/result_heap.hpp"

namespace mp::pool {

/// Blocks of the lane that each hold several results, and are given back together when the map is over.
class WorkerSlabs {
  public:
    WorkerSlabs(LaneMemory& lane, ResultHeap& heap) : lane_(lane), heap_(heap) {}

    /// What follows are results of this map.
    void begin(std::uint64_t job) {
        job_ = job;
        left_ = 0;
        largest_ = 512;
    }

    /// Room for the largest result so far, since most are as large as others.
    std::span<std::byte> room() {
        if (left_ < largest_) take(largest_);
        return {lane_.data() + at_, left_};
    }

    /// Where the bytes lie from now on; they are copied unless they were written to room().
    std::uint64_t keep(std::span<const std::byte> bytes) {
        if (bytes.size() > left_) take(bytes.size());
        const std::uint64_t at = at_;
        std::byte* const place = lane_.data() + at;
        if (place != bytes.data()) std::memcpy(place, bytes.data(), bytes.size());
        largest_ = std::max<std::uint64_t>(largest_, bytes.size());
        constexpr std::uint64_t unit = 16;
        const std::uint64_t taken = std::min(left_, (bytes.size() + unit - 1) & ~(unit - 1));
        at_ += taken;
        left_ -= taken;
        return at;
    }

    /// The caller needs the results of this map no longer.
    void forget(std::uint64_t job) {
        const auto found = slabs_.find(job);
        if (found == slabs_.end()) return;
        for (const std::uint64_t slab : found->second) heap_.release(slab);
        slabs_.erase(found);
    }

  private:
    void take(std::uint64_t result) {
        constexpr std::uint64_t least = 256 * 1024, results = 4;
        const std::uint64_t size = result < least / results ? least : result < 64 * least ? results * result : result;
        at_ = heap_.allocate(size);
        left_ = size;
        slabs_[job_].push_back(at_);
    }

    LaneMemory& lane_;
    ResultHeap& heap_;
    std::uint64_t job_ = 0;  // the map at work, as the three below
    std::uint64_t at_ = 0;
    std::uint64_t left_ = 0;
    std::uint64_t largest_ = 0;
    std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> slabs_;  // job -> its blocks
};

}  // namespace mp::pool
