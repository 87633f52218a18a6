#include "pool/task_memory.hpp"

#include <new>
#include <utility>

namespace mp::pool {

void* TaskMemory::take(std::size_t size) {
    if (!free_) free_ = given_back_.exchange(nullptr, std::memory_order_acquire);
    if (!free_) {
        void* const piece = ::operator new(size);
        pieces_.fetch_add(1, std::memory_order_relaxed);
        return piece;
    }
    Piece* const piece = free_;
    free_ = piece->next;
    return piece;
}

void TaskMemory::give_back(void* memory) noexcept {
    if (pieces_.load(std::memory_order_relaxed) <= most_kept) {
        auto* const piece = new (memory) Piece{given_back_.load(std::memory_order_relaxed)};
        while (piece->next != &closed_)
            if (given_back_.compare_exchange_weak(piece->next, piece, std::memory_order_release, std::memory_order_relaxed))
                return;
    }
    ::operator delete(memory);
    drop(1);
}

void TaskMemory::close() noexcept {
    const std::size_t kept = release(free_) + release(given_back_.exchange(&closed_, std::memory_order_acquire));
    drop(kept + 1);
}

std::size_t TaskMemory::release(Piece* first) noexcept {
    std::size_t count = 0;
    while (first) {
        ::operator delete(std::exchange(first, first->next));
        ++count;
    }
    return count;
}

// Whoever drops the last one is alone: each piece is dropped by who gave it back, after its last look at this.
void TaskMemory::drop(std::size_t count) noexcept {
    if (pieces_.fetch_sub(count, std::memory_order_acq_rel) == count) delete this;
}

}  // namespace mp::pool
