// One end of a Pipe: two rings in one memory file, and a pair of sockets that tells of the other side's death, carries
// descriptors, and is what the host's poll() watches.
#pragma once

#include <multiprocessing/connection.hpp>

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/deadline.hpp"
#include "os/packet.hpp"
#include "os/unique_fd.hpp"
#include "transport/byte_ring.hpp"

namespace mp::detail {

struct PipeBlock {
    static constexpr std::size_t data_offset = 4096;  // of the first ring's bytes, the other's lie behind

    BlockHead head;  // detail: bytes of each ring
    // Set by an end that closes, cleared by the other when it has found that another process still has that end: "look
    // whether I am gone". Only a hint; the socket decides.
    std::atomic<std::uint32_t> closing[2];
    transport::RingHead rings[2];  // ring i: sent by end i
};
static_assert(sizeof(PipeBlock) == 128 + 2 * sizeof(transport::RingHead));
static_assert(sizeof(PipeBlock) <= PipeBlock::data_offset);

struct PipeEnd {
    PipeEnd(SharedBlock memory, os::UniqueFd other, bool which)
        : block(std::move(memory)), socket(std::move(other)), side(which), out(ring(side)), in(ring(!side)) {}
    ~PipeEnd() { close(); }

    PipeBlock& shared() const { return *reinterpret_cast<PipeBlock*>(block.data()); }
    transport::RingView ring(bool which) const {
        const std::size_t size = block.head().detail;
        return {shared().rings[which], block.data() + PipeBlock::data_offset + (which ? size : 0), size};
    }

    void close() {
        if (!socket) return;
        socket.reset();
        epoll.reset();
        bell.reset();
        shared().closing[side].store(1, std::memory_order_release);
        shm::notify(shared().rings[side].data);
        shm::notify(shared().rings[!side].space);
    }

    /// Whether the other side says that it might be gone.
    bool other_closing() const { return shared().closing[!side].load(std::memory_order_acquire) != 0; }
    bool other_gone() {
        if (os::other_end_gone(socket.get())) return true;
        shared().closing[!side].store(0, std::memory_order_relaxed);
        return false;
    }

    bool wait_for_room(std::size_t payload, base::Deadline deadline);
    bool wait_for_frame(base::Deadline deadline);
    /// When all that had arrived is received: waits for a moment if many messages will have come then.
    void next_batch();
    transport::RingReceiver::Frame next_first(base::Deadline deadline);
    /// The message is `bytes` and then `rest`.
    bool send(std::span<const std::byte> bytes, std::span<const std::byte> rest, std::span<const serial::Handle> handles,
              base::Deadline deadline);
    void send_handles(std::span<const serial::Handle> handles, std::uint64_t ticket);
    void take_handles(std::uint64_t word);
    /// The payload of a first frame without its prefix; reads the descriptors and how long the message is.
    std::span<const std::byte> open(const transport::RingReceiver::Frame& frame, bool with_handles, std::size_t& total);
    /// Copies the rest of a long message behind its first frame; false when it ended unfinished.
    bool collect(std::byte* to, std::size_t done, std::size_t total);
    /// After a frame was published.
    void published() {
        out.wake_receiver();
        if (out.ring().head().armed.load(std::memory_order_relaxed)) [[unlikely]]
            kick();
    }
    void kick();
    [[noreturn]] static void throw_gone();
    [[noreturn]] static void throw_damaged();
    void rearm();
    void ring_bell();
    void drain_socket();

    SharedBlock block;
    os::UniqueFd socket;
    const bool side;
    // Sending
    transport::RingSender out;
    shm::Patience room_patience;
    shm::Pace room_pace;
    std::uint64_t unchecked = 0;  // bytes sent since we looked whether anybody receives them
    // Receiving
    transport::RingReceiver in;
    shm::Patience frame_patience;
    shm::Pace frame_pace;
    bool in_ring = false;  // the message handed out lies in the ring
    std::unique_ptr<std::byte[]> assembled;
    std::vector<serial::Handle> handles;
    std::deque<os::Packet> packets;  // with descriptors, read from the socket before their message was
    // Once fileno() was asked for: an epoll descriptor over the socket (the sender's kicks, the end) and an eventfd
    // with which the receiver tells itself of messages that the sender did not kick for.
    os::UniqueFd epoll, bell;
    bool bell_rung = false;
};

}  // namespace mp::detail
