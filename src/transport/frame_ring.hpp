// Frames in order from one process to one other, through shared memory: a byte ring whose frames are contiguous.
//
// One writer, one reader. A frame becomes visible by one 8-byte store of `head`, after its bytes; its space is given
// back by one store of `tail`. So a peer that dies between any two instructions leaves whole frames or none, and the
// survivor can go on reading what was published. Indices grow without end; position = index & (capacity - 1).
// The reader trusts nothing it finds: a size that does not fit is reported as a broken ring.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace mp::transport {

/// The indices, in shared memory; zeroed is empty.
struct RingIndices {
    alignas(128) std::atomic<std::uint64_t> head;  // written by the writer (release), read by the reader (acquire)
    alignas(128) std::atomic<std::uint64_t> tail;  // written by the reader (release), read by the writer (acquire)
};
static_assert(sizeof(RingIndices) == 256);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

namespace internal {
/// Before each frame. A frame that would run over the end of the memory is preceded by a filler to the end.
struct FramePrefix {
    std::uint32_t size;
    std::uint32_t filler;  // 1: skip this one
};
inline constexpr std::uint64_t unit = 16;
/// An end's own index as it took it over. All that it adds are whole units, so no prefix runs over the end of the memory.
inline std::uint64_t whole_units(std::uint64_t index) { return index & ~(unit - 1); }
inline std::uint64_t padded(std::uint64_t size) { return (sizeof(FramePrefix) + size + unit - 1) & ~(unit - 1); }
}  // namespace internal

class FrameWriter {
  public:
    FrameWriter() = default;
    /// `memory`: a power of two of bytes.
    FrameWriter(RingIndices& indices, std::span<std::byte> memory)
        : indices_(&indices), memory_(memory), head_(internal::whole_units(indices.head.load(std::memory_order_relaxed))),
          tail_(indices.tail.load(std::memory_order_acquire)) {}

    /// The largest frame that always finds room in an empty ring.
    std::size_t max_frame() const { return memory_.size() / 4; }

    /// Room for a frame of `size` bytes; null when the reader has to catch up first.
    std::byte* reserve(std::size_t size) {
        const std::uint64_t capacity = memory_.size();
        const std::uint64_t need = internal::padded(size);
        const std::uint64_t position = head_ & (capacity - 1);
        const std::uint64_t filler = position + need > capacity ? capacity - position : 0;
        if (head_ + filler + need - tail_ > capacity) {
            tail_ = indices_->tail.load(std::memory_order_acquire);
            // A tail that claims more than was written comes from a peer gone mad: nothing more is sent to it.
            if (tail_ > head_ || head_ + filler + need - tail_ > capacity) return nullptr;
        }
        if (filler) put_prefix(position, {static_cast<std::uint32_t>(filler - sizeof(internal::FramePrefix)), 1});
        const std::uint64_t start = (head_ + filler) & (capacity - 1);
        put_prefix(start, {static_cast<std::uint32_t>(size), 0});
        start_ = head_ + filler;
        next_ = head_ + filler + need;
        return memory_.data() + start + sizeof(internal::FramePrefix);
    }

    /// Where the frame that reserve() gave begins, counted from the beginning of time.
    std::uint64_t reserved_at() const { return start_; }
    /// The reader has given the frame's space back: something else may be there by now.
    bool released(std::uint64_t reserved_at) const {
        return indices_->tail.load(std::memory_order_acquire) > reserved_at;
    }

    /// The reader has given back all that was written.
    bool drained() const { return indices_->tail.load(std::memory_order_acquire) == head_; }

    /// Publishes the frame that reserve() gave.
    void commit() {
        head_ = next_;
        indices_->head.store(head_, std::memory_order_release);
    }

    /// Somebody else wrote what only this side writes. For looking at what a dead peer left.
    bool damaged() const { return indices_ && indices_->head.load(std::memory_order_relaxed) != head_; }

  private:
    void put_prefix(std::uint64_t position, internal::FramePrefix prefix) {
        std::memcpy(memory_.data() + position, &prefix, sizeof prefix);
    }

    RingIndices* indices_ = nullptr;
    std::span<std::byte> memory_;
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;  // as last seen
    std::uint64_t start_ = 0;
    std::uint64_t next_ = 0;
};

class FrameReader {
  public:
    FrameReader() = default;
    FrameReader(RingIndices& indices, std::span<std::byte> memory)
        : indices_(&indices), memory_(memory), head_(indices.head.load(std::memory_order_acquire)),
          tail_(internal::whole_units(indices.tail.load(std::memory_order_relaxed))) {}

    /// True when a frame waits; one load.
    bool ready() const { return tail_ != head_ || indices_->head.load(std::memory_order_acquire) != tail_; }

    /// The next frame, in place, until release(); empty data() when there is none.
    std::span<const std::byte> peek() {
        const std::uint64_t capacity = memory_.size();
        while (true) {
            if (tail_ == head_) {
                head_ = indices_->head.load(std::memory_order_acquire);
                if (tail_ == head_) return {};
            }
            if (head_ - tail_ > capacity) return fail();
            const std::uint64_t position = tail_ & (capacity - 1);
            internal::FramePrefix prefix;
            std::memcpy(&prefix, memory_.data() + position, sizeof prefix);
            const std::uint64_t need = internal::padded(prefix.size);
            if (need > head_ - tail_ || position + need > capacity) return fail();
            size_ = need;
            if (!prefix.filler) return {memory_.data() + position + sizeof prefix, prefix.size};
            release();
        }
    }

    /// Gives the space of the frame that peek() showed back to the writer.
    void release() {
        tail_ += size_;
        indices_->tail.store(tail_, std::memory_order_release);
    }

    /// The writer has written what no writer writes; nothing more can be read.
    bool broken() const { return broken_; }
    /// Somebody else wrote what only this side writes. For looking at what a dead peer left.
    bool damaged() const { return indices_ && indices_->tail.load(std::memory_order_relaxed) != tail_; }

  private:
    std::span<const std::byte> fail() {
        broken_ = true;
        return {};
    }

    RingIndices* indices_ = nullptr;
    std::span<std::byte> memory_;
    std::uint64_t head_ = 0;  // as last seen
    std::uint64_t tail_ = 0;
    std::uint64_t size_ = 0;
    bool broken_ = false;
};

}  // namespace mp::transport
