#include "pool/heap.hpp"

#include <algorithm>

namespace mp::pool {

namespace {
constexpr std::uint64_t unit = 128;
}

Heap::Heap(std::uint64_t begin, std::uint64_t end) : begin_(begin), touched_(begin) { free_.emplace(begin, end - begin); }

std::optional<std::uint64_t> Heap::allocate(std::uint64_t size) {
    const std::uint64_t need = (std::max<std::uint64_t>(size, 1) + unit - 1) / unit * unit;
    if (need < size) return std::nullopt;
    for (auto it = free_.begin(); it != free_.end(); ++it) {
        if (it->second < need) continue;
        const auto [offset, room] = *it;
        free_.erase(it);
        if (room > need) free_.emplace(offset + need, room - need);
        taken_.emplace(offset, need);
        used_ += need;
        touched_ = std::max(touched_, offset + need);
        return offset;
    }
    return std::nullopt;
}

void Heap::free(std::uint64_t offset) {
    const auto it = taken_.find(offset);
    if (it == taken_.end()) return;
    const std::uint64_t size = it->second;
    used_ -= size;
    taken_.erase(it);
    auto place = free_.emplace(offset, size).first;
    if (const auto next = std::next(place); next != free_.end() && offset + size == next->first) {
        place->second += next->second;
        free_.erase(next);
    }
    if (place != free_.begin()) {
        const auto before = std::prev(place);
        if (before->first + before->second == offset) {
            before->second += place->second;
            free_.erase(place);
        }
    }
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> Heap::trim(std::uint64_t keep) {
    const std::uint64_t top = taken_.empty() ? begin_ : taken_.rbegin()->first + taken_.rbegin()->second;
    const std::uint64_t from = std::max(top, begin_ + keep);
    if (from >= touched_) return std::nullopt;
    const std::uint64_t to = touched_;
    touched_ = from;
    return std::pair(from, to);
}

}  // namespace mp::pool
