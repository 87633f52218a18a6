// The ends of a Pipe: two rings in one memory file, and a pair of sockets that tells of the other side's death, carries
// descriptors, and is what the host's poll() watches.
#include <multiprocessing/connection.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <string>

#include "channel/raise.hpp"
#include "os/packet.hpp"
#include "os/retry.hpp"
#include "transport/byte_ring.hpp"

namespace mp {

BufferTooShort::BufferTooShort(std::size_t size, std::size_t buffer)
    : Error("cannot receive a message of " + channel::human_size(size) + " into a buffer of " +
            channel::human_size(buffer)),
      size_(size) {}
BufferTooShort::~BufferTooShort() = default;

}  // namespace mp

namespace mp::detail {

namespace {

using base::Deadline;
using transport::RingReceiver;
using transport::RingSender;
using transport::RingView;

struct PipeBlock {
    BlockHead head;  // detail: bytes of each ring
    // Set by an end that closes, cleared by the other when it has found that another process still has that end: "look
    // whether I am gone". Only a hint; the socket decides.
    std::atomic<std::uint32_t> closing[2];
    transport::RingHead rings[2];  // ring i: sent by end i
};
static_assert(sizeof(PipeBlock) == 128 + 2 * sizeof(transport::RingHead));

constexpr std::size_t data_offset = 4096;
static_assert(sizeof(PipeBlock) <= data_offset);
constexpr std::size_t chunk = 32 << 10;  // of long messages
constexpr std::uint64_t kick_word = 0;   // packet that carries nothing: tickets begin at 1
constexpr int ticket_bits = 40;          // of the word that says where a message's descriptors are; the rest: how many

}  // namespace

struct PipeEnd {
    PipeEnd(SharedBlock memory, os::UniqueFd other, bool which)
        : block(std::move(memory)), socket(std::move(other)), side(which), out(ring(side)), in(ring(!side)) {}
    ~PipeEnd() { close(); }

    PipeBlock& shared() const { return *reinterpret_cast<PipeBlock*>(block.data()); }
    RingView ring(bool which) const {
        const std::size_t size = block.head().detail;
        return {shared().rings[which], block.data() + data_offset + (which ? size : 0), size};
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

    bool wait_for_room(std::size_t payload, Deadline deadline);
    bool wait_for_frame(Deadline deadline);
    RingReceiver::Frame next_first(Deadline deadline);
    bool send(std::span<const std::byte> bytes, std::span<const serial::Handle> handles, Deadline deadline);
    void send_handles(std::span<const serial::Handle> handles, std::uint64_t ticket);
    void take_handles(std::uint64_t word);
    /// The payload of a first frame without its prefix; reads the descriptors and how long the message is.
    std::span<const std::byte> open(const RingReceiver::Frame& frame, bool with_handles, std::size_t& total);
    /// Copies the rest of a long message behind its first frame; false when it ended unfinished.
    bool collect(std::byte* to, std::size_t done, std::size_t total);
    void published();
    void rearm();
    void ring_bell();
    void drain_socket();

    SharedBlock block;
    os::UniqueFd socket;
    const bool side;
    // Sending
    RingSender out;
    shm::Patience room_patience;
    std::uint64_t unchecked = 0;  // bytes sent since we looked whether anybody receives them
    // Receiving
    RingReceiver in;
    shm::Patience frame_patience;
    bool in_ring = false;  // the message handed out lies in the ring
    std::unique_ptr<std::byte[]> assembled;
    std::vector<serial::Handle> handles;
    std::deque<os::Packet> packets;  // with descriptors, read from the socket before their message was
    // Once fileno() was asked for: an epoll descriptor over the socket (the sender's kicks, the end) and an eventfd
    // with which the receiver tells itself of messages that the sender did not kick for.
    os::UniqueFd epoll, bell;
    bool bell_rung = false;
};

namespace {

[[noreturn]] void throw_gone() { throw Closed("the other end of the pipe is closed"); }
[[noreturn]] void throw_damaged() { throw SerializationError("the memory of a pipe has been damaged"); }

}  // namespace

bool PipeEnd::wait_for_room(std::size_t payload, Deadline deadline) {
    for (;;) {
        if (out.reserve(payload)) return true;
        if (other_gone()) throw_gone();
        bool gone = false;
        const bool ready = shm::wait_until(
            out.ring().head().space, [&] { return out.worth_waking(payload) || other_closing(); }, deadline,
            room_patience, [&] { return !(gone = other_gone()); });
        if (gone) throw_gone();
        if (!ready) return out.reserve(payload) != nullptr;
    }
}

/// False when the time ran out; throws Closed when nothing more can come.
bool PipeEnd::wait_for_frame(Deadline deadline) {
    while (!in.ready()) {
        if (other_closing() && other_gone()) {
            if (in.ready()) return true;  // sent just before
            throw_gone();
        }
        bool gone = false;
        const bool ready = shm::wait_until(
            in.ring().head().data, [&] { return in.ready() || other_closing(); }, deadline, frame_patience,
            [&] { return !(gone = other_gone()); });
        if (in.ready()) return true;
        if (gone) throw_gone();
        if (!ready) {
            // A limit shorter than a sleeper's own look around must not hide the end of the stream.
            if (!other_gone()) return false;
            if (!in.ready()) throw_gone();
        }
    }
    return true;
}

/// The frame with which the next message begins, left in the ring; none when the time ran out.
RingReceiver::Frame PipeEnd::next_first(Deadline deadline) {
    for (;;) {
        const auto frame = in.peek();
        if (!frame) {
            if (!wait_for_frame(deadline)) return {};
            continue;
        }
        if (frame.first()) return frame;
        if (frame.flags == transport::frame_damaged) throw_damaged();
        in.release();  // the rest of a message whose sender or receiver died
    }
}

void PipeEnd::send_handles(std::span<const serial::Handle> all, std::uint64_t ticket) {
    std::vector<int> descriptors;
    for (std::size_t done = 0; done < all.size(); done += descriptors.size()) {
        descriptors.clear();
        const std::size_t count = std::min(all.size() - done, os::max_descriptors_a_message);
        for (const auto& handle : all.subspan(done, count)) descriptors.push_back(handle.fd());
        // With a full socket the other side has messages with descriptors to read first.
        const auto sent = os::send_packet(socket.get(), ticket, descriptors, Deadline::never());
        if (!sent && sent.error().value() == EPIPE) throw_gone();
        if (!sent) channel::raise(sent.error(), "cannot send a descriptor through a pipe");
        shm::kill_point();
    }
}

/// After a frame was published.
void PipeEnd::published() {
    auto& head = out.ring().head();
    out.wake_receiver();
    if (head.armed.load(std::memory_order_relaxed) && head.kicked.exchange(1, std::memory_order_acq_rel) == 0) {
        // A full buffer is as good: the descriptor is readable.
        (void)os::send_packet(socket.get(), kick_word, {}, Deadline::now());
    }
}

bool PipeEnd::send(std::span<const std::byte> bytes, std::span<const serial::Handle> all, Deadline deadline) {
    using namespace transport;
    if (other_closing() && other_gone()) throw_gone();
    unchecked += bytes.size() + frame_header;
    if (unchecked > block.head().detail / 4) {
        unchecked = 0;
        if (other_gone()) throw_gone();
    }
    std::byte prefix[16];
    std::size_t prefixed = 0;
    const bool whole = bytes.size() + sizeof prefix <= out.largest_frame();
    std::vector<std::byte> moved;
    if (!whole && bytes.size() <= out.largest_frame()) {
        // Written in the ring and a little too long for one frame: the first chunk would overwrite the second.
        moved.assign(bytes.begin(), bytes.end());
        bytes = moved;
    }
    const std::size_t first_size = whole ? bytes.size() + (all.empty() ? 0 : 8) : chunk;
    if (!wait_for_room(first_size, deadline)) return false;
    std::uint64_t flags = whole ? std::uint64_t{frame_first} | frame_last : std::uint64_t{frame_first};
    if (!all.empty()) {
        auto& tickets = out.ring().head().tickets;
        const std::uint64_t ticket = (tickets.load(std::memory_order_relaxed) + 1) & ((1ULL << ticket_bits) - 1);
        tickets.store(ticket, std::memory_order_relaxed);
        shm::kill_point();
        send_handles(all, ticket);
        const std::uint64_t word = ticket | all.size() << ticket_bits;
        std::memcpy(prefix, &word, 8);
        prefixed = 8;
        flags |= frame_handles;
    }
    if (!whole) {
        const std::uint64_t total = bytes.size();
        std::memcpy(prefix + prefixed, &total, 8);
        prefixed += 8;
    }
    std::size_t size = first_size;
    do {
        std::byte* to = out.reserve(size);
        if (!to) {
            // In the middle of a message: only the other side's death ends this wait.
            wait_for_room(size, Deadline::never());
            continue;
        }
        const std::size_t taken = size - prefixed;
        // The bytes may lie right here, where begin_message() had them written.
        if (taken != 0) std::memmove(to + prefixed, bytes.data(), taken);
        std::memcpy(to, prefix, prefixed);
        bytes = bytes.subspan(taken);
        prefixed = 0;
        out.commit(size, flags);
        published();
        size = std::min(bytes.size(), chunk);
        flags = bytes.size() <= chunk ? std::uint64_t{frame_last} : 0;
    } while (!whole && size != 0);
    return true;
}

void PipeEnd::drain_socket() {
    for (;;) {
        auto packet = os::receive_packet(socket.get());
        if (!packet && packet.error().value() == EMFILE) {
            channel::raise(packet.error(), "cannot receive a descriptor from a pipe");
        }
        if (!packet) return;
        if (packet->word != kick_word) packets.push_back(std::move(*packet));
    }
}

void PipeEnd::take_handles(std::uint64_t word) {
    const std::uint64_t ticket = word & ((1ULL << ticket_bits) - 1);
    const std::uint64_t count = word >> ticket_bits;
    drain_socket();
    // What is before ours belongs to messages whose sender or receiver died.
    while (!packets.empty() && packets.front().word != ticket) packets.pop_front();
    while (handles.size() < count && !packets.empty() && packets.front().word == ticket) {
        for (auto& descriptor : packets.front().descriptors) handles.emplace_back(descriptor.release());
        packets.pop_front();
    }
    if (handles.size() != count) throw SerializationError("a message arrived without its descriptors");
}

std::span<const std::byte> PipeEnd::open(const RingReceiver::Frame& frame, bool with_handles, std::size_t& total) {
    auto payload = frame.payload;
    handles.clear();
    std::uint64_t word = 0;
    const std::size_t prefixed = (frame.flags & transport::frame_handles ? 8 : 0) + (frame.last() ? 0 : 8);
    if (payload.size() < prefixed) throw_damaged();
    if (frame.flags & transport::frame_handles) {
        std::memcpy(&word, payload.data(), 8);
        payload = payload.subspan(8);
    }
    total = payload.size();
    if (!frame.last()) {
        std::memcpy(&total, payload.data(), 8);
        payload = payload.subspan(8);
        if (payload.size() > total) throw_damaged();
    }
    if (word != 0 && with_handles) take_handles(word);
    return payload;
}

bool PipeEnd::collect(std::byte* to, std::size_t done, std::size_t total) {
    for (;;) {
        const auto frame = in.peek();
        if (!frame) {
            wait_for_frame(Deadline::never());
            continue;
        }
        if (frame.first()) return false;  // its sender died, this is a successor's
        if (frame.payload.size() > total - done) throw_damaged();
        std::memcpy(to + done, frame.payload.data(), frame.payload.size());
        done += frame.payload.size();
        const bool last = frame.last();
        in.release();
        if (last) return done == total;
    }
}

void PipeEnd::ring_bell() {
    if (bell_rung) return;
    const std::uint64_t one = 1;
    bell_rung = os::retry([&] { return ::write(bell.get(), &one, sizeof one); }) == sizeof one;
}

/// After receiving: keeps fileno() readable exactly while there is a message.
void PipeEnd::rearm() {
    if (in.ready()) return ring_bell();
    if (bell_rung) {
        std::uint64_t count;
        (void)os::retry([&] { return ::read(bell.get(), &count, sizeof count); });
        bell_rung = false;
    }
    drain_socket();
    in.ring().head().kicked.store(0, std::memory_order_release);
    shm::order_sleep();
    // A message whose sender found us kicked still.
    if (in.ready()) ring_bell();
}

BasicConnection::BasicConnection(serial::Handle memory, serial::Handle socket, bool side) {
    auto block = SharedBlock::attach(memory, BlockKind::pipe, data_offset, "a Connection");
    const std::uint64_t size = block.head().detail;
    if (!std::has_single_bit(size) || size < 4096 || block.size() != data_offset + 2 * size) {
        throw SerializationError("the memory that arrived is not that of a pipe");
    }
    auto own = os::UniqueFd::duplicate(socket.fd());
    if (!own) channel::raise(base::last_error(), "cannot take over a Connection");
    end_ = std::make_shared<PipeEnd>(std::move(block), std::move(own), side);
}

std::pair<std::shared_ptr<PipeEnd>, std::shared_ptr<PipeEnd>> BasicConnection::make_ends(std::size_t capacity) {
    const std::size_t size = std::bit_ceil(std::clamp<std::size_t>(capacity, 64 << 10, std::size_t(1) << 31));
    auto block = SharedBlock::create(BlockKind::pipe, size, data_offset + 2 * size, "a Pipe");
    auto sockets = os::socket_pair();
    if (!sockets) channel::raise(sockets.error(), "cannot make a Pipe");
    return {std::make_shared<PipeEnd>(block, std::move(sockets->first), false),
            std::make_shared<PipeEnd>(block, std::move(sockets->second), true)};
}

PipeEnd& BasicConnection::open_end() const {
    if (!end_ || !end_->socket) throw Closed("this Connection is closed");
    return *end_;
}

serial::Handle BasicConnection::internal_memory() const { return open_end().block.handle(); }
serial::Handle BasicConnection::internal_socket() const { return serial::Handle::duplicate(open_end().socket.get()); }
bool BasicConnection::internal_side() const { return open_end().side; }

void BasicConnection::close() {
    if (end_) end_->close();
}

bool BasicConnection::closed() const noexcept { return !end_ || !end_->socket; }

std::span<std::byte> BasicConnection::begin_message() {
    PipeEnd& end = open_end();
    std::byte* const space = end.out.reserve(256);
    if (!space) return {};
    return {space, end.out.reserved_room()};
}

bool BasicConnection::send_message(std::span<const std::byte> bytes, std::span<const serial::Handle> handles,
                                   WaitLimit limit) {
    PipeEnd& end = open_end();
    if (handles.empty() && bytes.size() <= end.out.largest_frame()) [[likely]] {
        // Written in place, or short and with room: the way without a wait and with at most one copy.
        std::byte* const space = end.out.reserve(bytes.size());
        const bool in_place = space && space == bytes.data();
        if (in_place || (space && bytes.size() <= 4096)) {
            if (end.other_closing() && end.other_gone()) throw_gone();
            if ((end.unchecked += bytes.size() + 8) > end.block.head().detail / 4) [[unlikely]] {
                end.unchecked = 0;
                if (end.other_gone()) throw_gone();
            }
            if (!in_place && !bytes.empty()) std::memcpy(space, bytes.data(), bytes.size());
            end.out.commit(bytes.size(), transport::frame_first | transport::frame_last);
            end.published();
            return true;
        }
    }
    return end.send(bytes, handles, Deadline::after(limit));
}

bool BasicConnection::receive_message(Incoming& incoming, WaitLimit limit) {
    PipeEnd& end = open_end();
    auto frame = end.in.peek();
    if (!frame.first()) [[unlikely]] frame = end.next_first(Deadline::after(limit));
    for (;;) {
        if (!frame) return false;
        std::size_t total = 0;
        end.in_ring = true;
        std::span<const std::byte> payload;
        try {
            payload = end.open(frame, true, total);
            if (!frame.last()) end.assembled.reset(new std::byte[total]);
        } catch (...) {
            release_message();
            throw;
        }
        if (frame.last()) {
            incoming = {payload, end.handles};
            return true;
        }
        std::memcpy(end.assembled.get(), payload.data(), payload.size());
        const std::size_t done = payload.size();
        end.in_ring = false;
        end.in.release();
        if (end.collect(end.assembled.get(), done, total)) {
            incoming = {{end.assembled.get(), total}, end.handles};
            return true;
        }
        frame = end.next_first(Deadline::never());
    }
}

void BasicConnection::release_message() noexcept {
    PipeEnd& end = *end_;
    if (end.in_ring) end.in.release();
    end.in_ring = false;
    end.assembled.reset();
    end.handles.clear();
    if (end.epoll) [[unlikely]] {
        try {
            end.rearm();
        } catch (const Error&) {
            // Only descriptors of a later message can fail here; receiving that one says so.
        }
    }
}

std::optional<std::size_t> BasicConnection::receive_into(std::span<std::byte> buffer, WaitLimit limit) {
    PipeEnd& end = open_end();
    const Deadline deadline = Deadline::after(limit);
    for (;;) {
        const auto frame = end.next_first(deadline);
        if (!frame) return std::nullopt;
        std::size_t total = 0;
        (void)end.open(frame, false, total);
        if (total > buffer.size()) throw BufferTooShort(total, buffer.size());
        const Release release(*this);
        end.in_ring = true;
        const auto payload = end.open(frame, true, total);
        if (!payload.empty()) std::memcpy(buffer.data(), payload.data(), payload.size());
        const std::size_t done = payload.size();
        end.in_ring = false;
        end.in.release();
        if (frame.last() || end.collect(buffer.data(), done, total)) return total;
    }
}

std::optional<std::vector<std::byte>> BasicConnection::receive_bytes(WaitLimit limit) {
    Incoming incoming;
    if (!receive_message(incoming, limit)) return std::nullopt;
    const Release release(*this);
    return std::vector<std::byte>(incoming.bytes.begin(), incoming.bytes.end());
}

bool BasicConnection::wait_readable(WaitLimit limit) {
    PipeEnd& end = open_end();
    try {
        const bool found = static_cast<bool>(end.next_first(Deadline::after(limit)));
        if (!found && end.epoll) end.rearm();
        return found;
    } catch (const Closed&) {
        return true;
    }
}

int BasicConnection::fileno() {
    PipeEnd& end = open_end();
    if (end.epoll) return end.epoll.get();
    os::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    os::UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const auto add = [&](int fd, std::uint32_t events) {
        epoll_event event{};
        event.events = events;
        return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
    };
    if (!epoll || !bell || !add(end.socket.get(), EPOLLIN | EPOLLRDHUP) || !add(bell.get(), EPOLLIN)) {
        channel::raise(base::last_error(), "cannot make a descriptor for a Connection");
    }
    end.epoll = std::move(epoll);
    end.bell = std::move(bell);
    end.bell_rung = false;
    end.in.ring().head().armed.store(1, std::memory_order_relaxed);
    end.rearm();
    return end.epoll.get();
}

}  // namespace mp::detail
