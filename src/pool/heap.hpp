// Places in a range of shared memory, handed out and taken back by one process. What is where stands in that process's
// own memory, so nobody else can damage it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace mp::pool {

class Heap {
  public:
    /// Hands out places in [begin, end).
    Heap(std::uint64_t begin, std::uint64_t end);

    /// A place of `size` bytes, aligned to 128, lowest address first so that warm pages are used again; nothing when
    /// there is none.
    std::optional<std::uint64_t> allocate(std::uint64_t size);
    void free(std::uint64_t offset);

    /// Bytes handed out now.
    std::uint64_t used() const { return used_; }
    /// Gives up the free ranges above the highest place in use from `keep` bytes on: returns where they begin and end,
    /// for their pages to be returned to the system, and forgets that they were touched.
    std::optional<std::pair<std::uint64_t, std::uint64_t>> trim(std::uint64_t keep);

  private:
    std::map<std::uint64_t, std::uint64_t> free_;  // offset -> size, neighbours merged
    std::map<std::uint64_t, std::uint64_t> taken_;
    std::uint64_t begin_;
    std::uint64_t touched_;                        // pages above this one have never been used
    std::uint64_t used_ = 0;
};

}  // namespace mp::pool
