// One direction of a pipe: messages through a ring of bytes in shared memory, one sender and one receiver at a time.
//
// The ring holds frames: an 8-byte header, then the payload, both 8-byte aligned, never wrapped (a skip frame fills the
// end of the ring). A message is one frame, or, when it is longer than a quarter of the ring, a first, some middle and a
// last one, so that copying in and copying out overlap.
//
// A frame becomes visible by the store of its header, payload first; the header after it has been zeroed before. So the
// receiver waits for one word, and a short message comes with it in the same cache line. `tail` and `head` are for the
// other side's bookkeeping and for a successor in another process.
//
// Deaths. Sender, before the header store: nothing happened. After it, before `tail` is stored: its successor steps
// over frames that are there already. In the middle of a long message: what follows is a first frame again (from a
// successor) or the end of the stream, and the receiver drops the beginning. Receiver, before `head` is stored: its
// successor gets the message again; in the middle of a long one: the successor drops frames up to the next first one.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "shm/kill_point.hpp"
#include "shm/wait.hpp"
#include "transport/copy_short.hpp"
#include "transport/take_lines.hpp"

namespace mp::transport {

/// Lies in shared memory; zero is its initial state.
struct RingHead {
    alignas(128) std::atomic<std::uint64_t> tail;  // end of what was sent. Written by the sender, release; read by both
    std::atomic<std::uint64_t> tickets;            // numbers of descriptor packets handed out. Sender
    alignas(128) std::atomic<std::uint64_t> head;  // end of what was received. Written by the receiver, release
    alignas(128) shm::WakeWord data;               // the receiver sleeps here
    shm::WakeWord space;                           // the sender sleeps here
    std::atomic<std::uint32_t> armed;              // receiver: wants its descriptor readable while there is a message
    std::atomic<std::uint32_t> kicked;             // sender has done so (set), receiver has undone it (cleared)
};
static_assert(sizeof(RingHead) == 384);

enum FrameFlag : std::uint64_t {
    frame_present = 1ULL << 63,
    frame_first = 1ULL << 62,    // a message begins
    frame_last = 1ULL << 61,     // … and ends
    frame_skip = 1ULL << 60,     // nothing: the rest of the ring's end
    frame_handles = 1ULL << 59,  // first frame: the payload starts with the ticket and number of its descriptors
};
/// What peek() says when the ring's bytes make no sense.
inline constexpr std::uint64_t frame_damaged = 1;
inline constexpr std::uint64_t frame_size_mask = 0xffffffff;
inline constexpr std::size_t frame_header = 8;

inline constexpr std::size_t frame_room(std::size_t payload) { return frame_header + ((payload + 7) & ~std::size_t{7}); }

class RingView {
  public:
    RingView(RingHead& head, std::byte* data, std::size_t size) : head_(&head), data_(data), size_(size) {}

    RingHead& head() const { return *head_; }
    std::size_t size() const { return size_; }
    // Positions are multiples of 8; those that others wrote are made so.
    std::byte* at(std::uint64_t position) const { return data_ + (position & (size_ - 8)); }
    std::size_t contiguous(std::uint64_t position) const { return size_ - (position & (size_ - 8)); }
    /// Released by the sender's store, acquired by the receiver's load.
    std::atomic_ref<std::uint64_t> header(std::uint64_t position) const {
        return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(at(position)));
    }

  private:
    RingHead* head_;
    std::byte* data_;
    std::size_t size_;  // a power of two
};

/// The sender's end. For one thread at a time; another process may have been the sender before.
class RingSender {
  public:
    explicit RingSender(RingView ring) : ring_(ring) {}

    std::size_t largest_frame() const { return ring_.size() / 4 - frame_header; }

    /// Where a payload of `payload` bytes (at most largest_frame) can be written now; null when there is no room.
    std::byte* reserve(std::size_t payload) {
        std::uint64_t tail = ring_.head().tail.load(std::memory_order_relaxed);
        // A sender that was killed may have published more than it had accounted for: one frame.
        if (const std::uint64_t there = ring_.header(tail).load(std::memory_order_relaxed)) [[unlikely]] {
            if (frame_room(there & frame_size_mask) > ring_.contiguous(tail)) return nullptr;
            tail += frame_room(there & frame_size_mask);
            ring_.head().tail.store(tail, std::memory_order_release);
        }
        const std::size_t room = frame_room(payload);
        const std::size_t before_end = ring_.contiguous(tail);
        // The header behind the frame is zeroed before the frame is published, so it must be free as well.
        const std::size_t needed = (room <= before_end ? room : before_end + room) + frame_header;
        if (!has_room(tail, needed)) return nullptr;
        if (room > before_end) [[unlikely]] {
            publish(tail, before_end - frame_header, frame_skip);
            tail += before_end;
        }
        position_ = tail;
        return ring_.at(tail) + frame_header;
    }

    /// Sends a message of few bytes in one frame if there is room for it without a wait, a skip frame or a look at where
    /// the receiver is; false: reserve() has to see.
    bool send_short(const std::byte* bytes, std::size_t size) {
        const std::uint64_t tail = ring_.head().tail.load(std::memory_order_relaxed);
        const std::size_t room = frame_room(size);
        if (ring_.contiguous(tail) < room || tail + room + frame_header - head_copy_ > ring_.size() ||
            ring_.header(tail).load(std::memory_order_relaxed) != 0) [[unlikely]] {
            return false;
        }
        copy_short(ring_.at(tail) + frame_header, bytes, size);
        publish(tail, size, frame_first | frame_last);
        return true;
    }

    /// Whether reserve(payload) would succeed and, so that a sleeping sender is not woken for each message that is
    /// taken out, a quarter of the ring is free.
    bool worth_waking(std::size_t payload) {
        const std::uint64_t tail = ring_.head().tail.load(std::memory_order_relaxed);
        const std::size_t room = frame_room(payload);
        const std::size_t before_end = ring_.contiguous(tail);
        const std::size_t needed = (room <= before_end ? room : before_end + room) + frame_header;
        return has_room(tail, needed > ring_.size() / 4 ? needed : ring_.size() / 4);
    }

    /// How much may be written in one piece where reserve() has just said; at least what was reserved.
    std::size_t reserved_room() const {
        const std::size_t free = ring_.size() - (position_ - head_copy_) - 2 * frame_header;
        const std::size_t piece = ring_.contiguous(position_) - frame_header;
        return std::min({free & ~std::size_t{7}, piece, largest_frame()});
    }

    /// Publishes the first `payload` bytes of what was reserved.
    void commit(std::size_t payload, std::uint64_t flags) { publish(position_, payload, flags); }

    /// To be called after publishing: wakes a sleeping receiver.
    void wake_receiver() { shm::notify(ring_.head().data, 1); }

    RingView& ring() { return ring_; }

  private:
    bool has_room(std::uint64_t tail, std::size_t needed) {
        // The copy is a lower bound: the head only grows.
        if (ring_.size() - (tail - head_copy_) >= needed && tail - head_copy_ <= ring_.size()) return true;
        head_copy_ = ring_.head().head.load(std::memory_order_acquire);
        return ring_.size() - (tail - head_copy_) >= needed;
    }

    void publish(std::uint64_t position, std::size_t payload, std::uint64_t flags) {
        const std::uint64_t next = position + frame_room(payload);
        shm::kill_point();
        ring_.header(next).store(0, std::memory_order_relaxed);
        shm::kill_point();
        ring_.header(position).store(frame_present | flags | payload, std::memory_order_release);
        shm::kill_point();
        ring_.head().tail.store(next, std::memory_order_release);
        shm::kill_point();
    }

    RingView ring_;
    std::uint64_t position_ = 0;
    std::uint64_t head_copy_ = 0;
};

/// The receiver's end. For one thread at a time; another process may have been the receiver before.
class RingReceiver {
  public:
    struct Frame {
        std::span<const std::byte> payload;
        std::uint64_t flags = 0;
        explicit operator bool() const { return flags != 0; }
        bool first() const { return flags & frame_first; }
        bool last() const { return flags & frame_last; }
    };

    explicit RingReceiver(RingView ring) : ring_(ring) {}

    /// The frame that is next, empty when there is none yet. Stays until release().
    Frame peek() {
        for (int skipped = 0; skipped < 2; ++skipped) {
            const std::uint64_t head = ring_.head().head.load(std::memory_order_relaxed);
            const std::uint64_t header = ring_.header(head).load(std::memory_order_acquire);
            if (header == 0) return {};
            const std::size_t size = header & frame_size_mask;
            // Bytes that others can write: never believe a size that leads out of the ring.
            if (frame_room(size) > ring_.contiguous(head)) [[unlikely]] return {{}, frame_damaged};
            if (header & frame_skip) [[unlikely]] {
                ring_.head().head.store(head + frame_room(size), std::memory_order_release);
                continue;
            }
            next_ = head + frame_room(size);
            return {{ring_.at(head) + frame_header, size}, header};
        }
        return {{}, frame_damaged};
    }

    /// Receives a message of `size` bytes in one frame without handles if that is what is next; false: peek() has to see.
    bool receive_short(std::byte* to, std::size_t size) {
        const std::uint64_t head = ring_.head().head.load(std::memory_order_relaxed);
        if (ring_.header(head).load(std::memory_order_acquire) !=
                (frame_present | frame_first | frame_last | size) ||
            ring_.contiguous(head) < frame_room(size)) [[unlikely]] {
            return false;
        }
        short_room_ = frame_room(size);
        next_ = head + short_room_;
        copy_short(to, ring_.at(head) + frame_header, size);
        release();
        return true;
    }

    /// A position at which to look away before the next look (shm::Pace): where the sender was at the last one. Short of
    /// it, nothing is touched that the sender is writing.
    bool at_stop() const { return ring_.head().head.load(std::memory_order_relaxed) == stop_; }
    /// How many messages there are until then, if they are like the last short one.
    std::uint64_t stop_at_tail() {
        stop_ = ring_.head().tail.load(std::memory_order_relaxed);
        return (stop_ - ring_.head().head.load(std::memory_order_relaxed)) / short_room_;
    }
    void stop_nowhere() { stop_ = no_stop; }

    /// Whether a frame has arrived, cheaply and without touching it.
    bool ready() const {
        return ring_.header(ring_.head().head.load(std::memory_order_relaxed)).load(std::memory_order_acquire) != 0;
    }

    /// Gives back the frame that peek() returned; its payload must not be read any more.
    void release() {
        const std::uint64_t head = ring_.head().head.load(std::memory_order_relaxed);
        // With more behind it the sender is ahead and will come round. In short request and answer, taking the line would only
        // hold up the answer.
        if (next_ - head > 1024 || ring_.header(next_).load(std::memory_order_relaxed) != 0)
            take_lines(ring_.at(head), ring_.at(head) + (next_ - head));
        shm::kill_point();
        ring_.head().head.store(next_, std::memory_order_release);
        shm::kill_point();
        shm::order_publish();
        if (shm::has_sleeper(ring_.head().space)) [[unlikely]] wake_sender();
    }

    RingView& ring() { return ring_; }

  private:
    static constexpr std::uint64_t no_stop = 1;  // no position: those are multiples of 8

    void wake_sender() {
        const std::uint64_t used = ring_.head().tail.load(std::memory_order_acquire) - next_;
        if (ring_.size() - used >= ring_.size() / 4) shm::notify(ring_.head().space, 1);
    }

    RingView ring_;
    std::uint64_t next_ = 0;
    std::uint64_t stop_ = no_stop;
    std::uint64_t short_room_ = 64;
};

}  // namespace mp::transport
