// The tasks of one worker, oldest first: a queue that allocates only to grow, and nothing before its first task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mp::pool {

class TaskRing {
  public:
    using Task = std::uint64_t;

    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    /// From the oldest, which is 0.
    Task& operator[](std::size_t index) { return slots_[(first_ + index) & (slots_.size() - 1)]; }
    Task operator[](std::size_t index) const { return slots_[(first_ + index) & (slots_.size() - 1)]; }
    Task front() const { return (*this)[0]; }
    Task back() const { return (*this)[size_ - 1]; }

    void push_back(Task task) {
        if (size_ == slots_.size()) grow();
        (*this)[size_++] = task;
    }
    void pop_front() {
        first_ = (first_ + 1) & (slots_.size() - 1);
        --size_;
    }
    void pop_back() { --size_; }
    /// False when it is not there.
    bool erase(Task task) {
        std::size_t index = 0;
        while (index < size_ && (*this)[index] != task) ++index;
        if (index == size_) return false;
        for (; index + 1 < size_; ++index) (*this)[index] = (*this)[index + 1];
        --size_;
        return true;
    }

  private:
    void grow() {
        std::vector<Task> larger(slots_.empty() ? 4 : 2 * slots_.size());
        for (std::size_t i = 0; i < size_; ++i) larger[i] = (*this)[i];
        slots_.swap(larger);
        first_ = 0;
    }

    std::vector<Task> slots_;  // a power of two of them
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

}  // namespace mp::pool
