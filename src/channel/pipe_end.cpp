#include "channel/pipe_end.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "channel/raise.hpp"
#include "os/retry.hpp"
#include "transport/ticket.hpp"

namespace mp::detail {

using base::Deadline;
using transport::RingReceiver;

namespace {

constexpr std::size_t longest_chunk = 32 << 10;  // of long messages
constexpr int looks_for_room = 8;                // a quarter of the ring is emptied in about that time
constexpr std::uint64_t kick_word = 0;           // packet that carries nothing: tickets begin at 1

}  // namespace

void PipeEnd::throw_gone() { throw Closed("the other end of the pipe is closed"); }
void PipeEnd::throw_damaged() { throw SerializationError("the memory of a pipe has been damaged"); }

/// Makes the other side's descriptor readable.
void PipeEnd::kick() {
    if (out.ring().head().kicked.exchange(1, std::memory_order_acq_rel) != 0) return;
    // A full buffer is as good: the descriptor is readable.
    (void)os::send_packet(socket.get(), kick_word, {}, Deadline::now());
}

bool PipeEnd::wait_for_room(std::size_t payload, Deadline deadline) {
    for (;;) {
        if (out.reserve(payload)) return true;
        if (other_gone()) throw_gone();
        bool gone = false;
        const auto found = [&] { return out.worth_waking(payload) || other_closing(); };
        if (!deadline.expired() && room_pace.look_away()) {
            for (int i = 0; i < looks_for_room && !found(); ++i) shm::Pace::once_more();
            room_pace.found(found() ? out.ring().size() / 4 / transport::frame_room(payload) : 0);
        }
        const bool ready = shm::wait_until(out.ring().head().space, found, deadline, room_patience,
                                           [&] { return !(gone = other_gone()); });
        if (gone) throw_gone();
        if (!ready) return out.reserve(payload) != nullptr;
        // Room that only grows, and nothing can be put there: somebody else wrote into the ring.
        if (out.worth_waking(payload) && !out.reserve(payload)) throw_damaged();
    }
}

void PipeEnd::next_batch() {
    if (frame_pace.look_away()) frame_pace.found(in.stop_at_tail());
    else in.stop_nowhere();
}

/// False when the time ran out; throws Closed when nothing more can come.
bool PipeEnd::wait_for_frame(Deadline deadline) {
    if (!deadline.expired()) next_batch();
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

bool PipeEnd::send(std::span<const std::byte> bytes, std::span<const std::byte> rest, std::span<const serial::Handle> all,
                   Deadline deadline) {
    using namespace transport;
    std::size_t left = bytes.size() + rest.size();
    if (other_closing() && other_gone()) throw_gone();
    unchecked += left + frame_header;
    if (unchecked > block.head().detail / 4) {
        unchecked = 0;
        if (other_gone()) throw_gone();
    }
    std::byte prefix[16];
    std::size_t prefixed = 0;
    const std::size_t chunk = std::min(longest_chunk, out.largest_frame());
    const bool whole = left + sizeof prefix <= out.largest_frame();
    std::vector<std::byte> moved;
    if (!whole && bytes.size() <= out.largest_frame() && rest.empty()) {
        // Written in the ring and a little too long for one frame: the first chunk would overwrite the second.
        moved.assign(bytes.begin(), bytes.end());
        bytes = moved;
    }
    const std::size_t first_size = whole ? left + (all.empty() ? 0 : 8) : chunk;
    if (!wait_for_room(first_size, deadline)) return false;
    std::uint64_t flags = whole ? std::uint64_t{frame_first} | frame_last : std::uint64_t{frame_first};
    if (!all.empty()) {
        auto& tickets = out.ring().head().tickets;
        const std::uint64_t ticket = (tickets.load(std::memory_order_relaxed) + 1) & ticket_mask;
        tickets.store(ticket, std::memory_order_relaxed);
        shm::kill_point();
        send_handles(all, ticket);
        const std::uint64_t word = ticket_word(ticket, all.size());
        std::memcpy(prefix, &word, 8);
        prefixed = 8;
        flags |= frame_handles;
    }
    if (!whole) {
        const std::uint64_t total = left;
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
        const std::size_t of_bytes = std::min(taken, bytes.size());
        // They may lie right here, where begin_message() had them written.
        if (of_bytes != 0) std::memmove(to + prefixed, bytes.data(), of_bytes);
        if (of_bytes != taken) std::memcpy(to + prefixed + of_bytes, rest.data(), taken - of_bytes);
        std::memcpy(to, prefix, prefixed);
        bytes = bytes.subspan(of_bytes);
        rest = rest.subspan(taken - of_bytes);
        left -= taken;
        prefixed = 0;
        out.commit(size, flags);
        published();
        size = std::min(left, chunk);
        flags = left <= chunk ? std::uint64_t{frame_last} : 0;
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
    const std::uint64_t ticket = transport::ticket_of(word);
    const std::uint64_t count = transport::descriptors_of(word);
    drain_socket();
    while (!packets.empty() && transport::is_before(packets.front().word, ticket)) packets.pop_front();
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
        if (frame.flags == transport::frame_damaged) throw_damaged();
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

}  // namespace mp::detail
