// The memory of tasks' records, used again and again: a stream of tasks allocates none.
#pragma once

#include <atomic>
#include <cstddef>

namespace mp::pool {

/// Pieces of one size. A record may outlive its pool, in a future's hands: this goes with the last of them.
class TaskMemory {
  public:
    TaskMemory() = default;
    TaskMemory(const TaskMemory&) = delete;
    TaskMemory& operator=(const TaskMemory&) = delete;

    /// Always the same size. One thread at a time: under the pool's lock.
    void* take(std::size_t size);
    /// Any thread.
    void give_back(void* piece) noexcept;
    /// Nothing is taken any more. Destroys this, now or with the last piece that is given back.
    void close() noexcept;

  private:
    struct Piece {
        Piece* next;
    };
    ~TaskMemory() = default;
    void drop(std::size_t count) noexcept;
    static std::size_t release(Piece* first) noexcept;

    /// More of them go back to the heap.
    static constexpr std::size_t most_kept = 64 * 1024;

    Piece* free_ = nullptr;                     // the taker's own
    std::atomic<Piece*> given_back_{nullptr};   // pushed by anybody (release), taken all at once by the taker (acquire)
    std::atomic<std::size_t> pieces_{1};        // in use and kept, and one for the owner
    Piece closed_{};                            // `given_back_` when nothing is kept any more
};

/// For std::allocate_shared.
template <class T>
class TaskAllocator {
  public:
    using value_type = T;

    explicit TaskAllocator(TaskMemory& memory) : memory_(&memory) {}
    template <class Other>
    TaskAllocator(const TaskAllocator<Other>& other) : memory_(other.memory_) {}

    T* allocate(std::size_t) { return static_cast<T*>(memory_->take(sizeof(T))); }
    void deallocate(T* piece, std::size_t) noexcept { memory_->give_back(piece); }

    template <class Other>
    bool operator==(const TaskAllocator<Other>& other) const {
        return memory_ == other.memory_;
    }

  private:
    template <class>
    friend class TaskAllocator;
    TaskMemory* memory_;
};

}  // namespace mp::pool
