#include "pool/result_heap.hpp"

#include <algorithm>
#include <string>

#include <multiprocessing/errors.hpp>

#include "os/memory.hpp"

namespace mp::pool {

namespace {

constexpr std::uint64_t checked_from = 16 << 20;
constexpr std::uint64_t reserve = 64 << 20;

[[noreturn]] void fail(std::uint64_t size) {
    throw SystemError(base::error_of(ENOMEM), "cannot hand over a result of " + std::to_string(size) + " bytes");
}

}  // namespace

std::uint64_t ResultHeap::allocate(std::uint64_t size) {
    collect();
    if (size >= checked_from && size + reserve > os::available_memory()) fail(size);
    const auto block = heap_.allocate(sizeof(BlockHeader) + size);
    if (!block) fail(size);
    auto* header = new (lane_.data() + *block) BlockHeader;
    header->size = size;
    header->in_use.store(1, std::memory_order_relaxed);  // published with the frame that names the block
    blocks_.push_back(*block);
    return *block + sizeof(BlockHeader);
}

void ResultHeap::release(std::uint64_t payload) {
    header(payload - sizeof(BlockHeader)).in_use.store(0, std::memory_order_relaxed);
}

// Each block is looked at a bounded number of times: all of them once as many were added as were left.
void ResultHeap::collect() {
    if (blocks_.size() < collect_at_) return;
    std::erase_if(blocks_, [&](std::uint64_t block) {
        if (header(block).in_use.load(std::memory_order_acquire)) return false;
        heap_.free(block);
        return true;
    });
    collect_at_ = std::max<std::size_t>(4, 2 * blocks_.size());
}

}  // namespace mp::pool
