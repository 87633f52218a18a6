// A queue in one piece of memory that grows by doubling and is used again: it allocates nothing in steady state, and
// nothing before its first element. What was large is given back once it is empty.
#pragma once

#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

namespace mp::base {

template <class T>
class Ring {
    template <class Owner, class Value>
    class Iterator {
      public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = Value*;
        using reference = Value&;

        Iterator() = default;
        Iterator(Owner* ring, std::size_t index) : ring_(ring), index_(index) {}

        reference operator*() const { return (*ring_)[index_]; }
        pointer operator->() const { return &(*ring_)[index_]; }
        reference operator[](difference_type n) const { return *(*this + n); }
        Iterator& operator+=(difference_type n) {
            index_ += static_cast<std::size_t>(n);
            return *this;
        }
        Iterator& operator-=(difference_type n) { return *this += -n; }
        Iterator& operator++() { return *this += 1; }
        Iterator& operator--() { return *this -= 1; }
        Iterator operator++(int) { return std::exchange(*this, *this + 1); }
        Iterator operator--(int) { return std::exchange(*this, *this - 1); }
        friend Iterator operator+(Iterator it, difference_type n) { return it += n; }
        friend Iterator operator+(difference_type n, Iterator it) { return it += n; }
        friend Iterator operator-(Iterator it, difference_type n) { return it -= n; }
        friend difference_type operator-(const Iterator& a, const Iterator& b) {
            return static_cast<difference_type>(a.index_) - static_cast<difference_type>(b.index_);
        }
        friend bool operator==(const Iterator& a, const Iterator& b) { return a.index_ == b.index_; }
        friend auto operator<=>(const Iterator& a, const Iterator& b) { return a.index_ <=> b.index_; }

      private:
        Owner* ring_ = nullptr;
        std::size_t index_ = 0;
    };

  public:
    using value_type = T;
    using iterator = Iterator<Ring, T>;
    using const_iterator = Iterator<const Ring, const T>;

    Ring() = default;
    Ring(Ring&& other) noexcept { swap(other); }
    Ring& operator=(Ring&& other) noexcept {
        Ring(std::move(other)).swap(*this);
        return *this;
    }

    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    /// From the oldest, which is 0.
    T& operator[](std::size_t index) { return slots_[(first_ + index) & (capacity_ - 1)]; }
    const T& operator[](std::size_t index) const { return slots_[(first_ + index) & (capacity_ - 1)]; }
    T& front() { return (*this)[0]; }
    const T& front() const { return (*this)[0]; }
    T& back() { return (*this)[size_ - 1]; }
    const T& back() const { return (*this)[size_ - 1]; }

    iterator begin() { return {this, 0}; }
    iterator end() { return {this, size_}; }
    const_iterator begin() const { return {this, 0}; }
    const_iterator end() const { return {this, size_}; }
    auto rbegin() { return std::reverse_iterator(end()); }
    auto rend() { return std::reverse_iterator(begin()); }

    void push_back(T value) {
        if (size_ == capacity_) grow();
        (*this)[size_++] = std::move(value);
    }
    void push_front(T value) {
        if (size_ == capacity_) grow();
        first_ = (first_ - 1) & (capacity_ - 1);
        ++size_;
        front() = std::move(value);
    }
    void pop_front() {
        forget(front());
        first_ = (first_ + 1) & (capacity_ - 1);
        if (--size_ == 0 && capacity_ > most_kept) *this = Ring();
    }
    void pop_back() {
        forget(back());
        --size_;
    }
    void clear() {
        while (!empty()) pop_back();
    }
    /// The first that is equal; false when there is none.
    bool erase(const T& value) {
        std::size_t index = 0;
        while (index < size_ && !((*this)[index] == value)) ++index;
        if (index == size_) return false;
        for (; index + 1 < size_; ++index) (*this)[index] = std::move((*this)[index + 1]);
        pop_back();
        return true;
    }

  private:
    static constexpr std::size_t most_kept = 128 * 1024;

    // What an element owns goes with it, and does not wait until its place is used again.
    static void forget(T& value) {
        if constexpr (!std::is_trivially_destructible_v<T>) value = T();
    }
    void grow() {
        std::vector<T> larger(slots_.empty() ? 4 : 2 * slots_.size());
        for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
        slots_.swap(larger);
        capacity_ = slots_.size();
        first_ = 0;
    }
    void swap(Ring& other) noexcept {
        slots_.swap(other.slots_);
        std::swap(capacity_, other.capacity_);
        std::swap(first_, other.first_);
        std::swap(size_, other.size_);
    }

    std::vector<T> slots_;  // a power of two of them
    std::size_t capacity_ = 0;  // how many: to ask the vector takes a division
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

}  // namespace mp::base
