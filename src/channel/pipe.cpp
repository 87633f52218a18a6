// What users see of a pipe's end (pipe_end.hpp), and the way of short messages.
#include <multiprocessing/connection.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "channel/message_memory.hpp"
#include "channel/pipe_end.hpp"
#include "channel/raise.hpp"
#include "channel/stream_end.hpp"
#include "net/stream.hpp"

namespace mp {

BufferTooShort::BufferTooShort(std::size_t size, std::size_t buffer)
    : Error("cannot receive a message of " + channel::human_size(size) + " into a buffer of " +
            channel::human_size(buffer)),
      size_(size) {}
BufferTooShort::~BufferTooShort() = default;

}  // namespace mp

namespace mp::detail {

using base::Deadline;

namespace {

constexpr std::size_t data_offset = PipeBlock::data_offset;

[[noreturn]] void throw_closed_end() { throw Closed("this Connection is closed"); }

}  // namespace

[[gnu::always_inline]] inline PipeEnd& BasicConnection::open_end() const {
    if (!end_ || !end_->socket) [[unlikely]] throw_closed_end();
    return *end_;
}

namespace {

enum class Encoded : std::uint8_t { first_end = 0, second_end = 1, stream = 2 };

}  // namespace

BasicConnection::BasicConnection(serial::Reader& reader) {
    const auto what = serial::decode<std::uint8_t>(reader);
    if (what > static_cast<std::uint8_t>(Encoded::stream)) throw SerializationError("what arrived is no Connection");
    const auto memory = what == static_cast<std::uint8_t>(Encoded::stream) ? serial::Handle() : reader.take_handle();
    const auto socket = reader.take_handle();
    auto own = os::UniqueFd::duplicate(socket.fd());
    if (!own) channel::raise(base::last_error(), "cannot take over a Connection");
    if (!memory) {
        if (!net::is_stream(own.get())) throw SerializationError("the descriptor that arrived is no stream socket");
        stream_ = std::make_shared<StreamEnd>(std::move(own));
        return;
    }
    auto block = SharedBlock::attach(memory, BlockKind::pipe, data_offset, "a Connection");
    const std::uint64_t size = block.head().detail;
    if (!std::has_single_bit(size) || size < 4096 || block.size() != data_offset + 2 * size) {
        throw SerializationError("the memory that arrived is not that of a pipe");
    }
    end_ = std::make_shared<PipeEnd>(std::move(block), std::move(own), what == static_cast<std::uint8_t>(Encoded::second_end));
}

std::pair<std::shared_ptr<PipeEnd>, std::shared_ptr<PipeEnd>> BasicConnection::make_ends(std::size_t capacity) {
    const std::size_t size = std::bit_ceil(std::clamp<std::size_t>(capacity, 64 << 10, std::size_t(1) << 31));
    auto block = SharedBlock::create(BlockKind::pipe, size, data_offset + 2 * size, "a Pipe");
    auto sockets = os::socket_pair();
    if (!sockets) channel::raise(sockets.error(), "cannot make a Pipe");
    return {std::make_shared<PipeEnd>(block, std::move(sockets->first), false),
            std::make_shared<PipeEnd>(block, std::move(sockets->second), true)};
}

StreamEnd& BasicConnection::open_stream() const {
    if (!stream_ || stream_->closed()) throw Closed("this Connection is closed");
    return *stream_;
}

bool BasicConnection::over_network() const noexcept { return !stream_->is_unix(); }

void BasicConnection::internal_encode(serial::Writer& writer) const {
    if (!end_) {
        const StreamEnd& stream = open_stream();
        if (!stream.between_messages()) throw Error("a Connection cannot be handed over in the middle of a message");
        writer.attach(serial::Handle::duplicate(stream.fd()));
        serial::encode(writer, static_cast<std::uint8_t>(Encoded::stream));
        return;
    }
    const PipeEnd& end = open_end();
    writer.attach(end.block.handle());
    writer.attach(serial::Handle::duplicate(end.socket.get()));
    serial::encode(writer, static_cast<std::uint8_t>(end.side ? Encoded::second_end : Encoded::first_end));
}

void BasicConnection::close() {
    if (end_) end_->close();
    if (stream_) stream_->close();
}

bool BasicConnection::closed() const noexcept {
    return (!end_ || !end_->socket) && (!stream_ || stream_->closed());
}

std::span<std::byte> BasicConnection::begin_message() {
    if (!end_) [[unlikely]] return open_stream(), std::span<std::byte>();
    PipeEnd& end = open_end();
    std::byte* const space = end.out.reserve(256);
    if (!space) return {};
    return {space, end.out.reserved_room()};
}

bool BasicConnection::send_small(const void* bytes, std::size_t size, WaitLimit limit) {
    if (!end_) [[unlikely]] return send_message({static_cast<const std::byte*>(bytes), size}, {}, limit);
    PipeEnd& end = open_end();
    if (end.other_closing() || (end.unchecked += size + 8) > end.out.ring().size() / 4 ||
        !end.out.send_short(static_cast<const std::byte*>(bytes), size)) [[unlikely]] {
        return send_message({static_cast<const std::byte*>(bytes), size}, {}, limit);
    }
    end.published();
    return true;
}

bool BasicConnection::receive_small(void* to, std::size_t size, bool patient) {
    if (!end_) [[unlikely]] return false;
    PipeEnd& end = open_end();
    if (end.epoll) return false;
    if (end.in.at_stop() && patient) [[unlikely]] end.next_batch();
    return end.in.receive_short(static_cast<std::byte*>(to), size);
}

bool BasicConnection::send_message(std::span<const std::byte> bytes, std::span<const serial::Handle> handles,
                                   WaitLimit limit) {
    if (!end_) [[unlikely]] return open_stream().send(bytes, handles, Deadline::after(limit));
    PipeEnd& end = open_end();
    if (handles.empty() && bytes.size() <= end.out.largest_frame()) [[likely]] {
        // Written in place, or short and with room: the way without a wait and with at most one copy.
        std::byte* const space = end.out.reserve(bytes.size());
        const bool in_place = space && space == bytes.data();
        if (in_place || (space && bytes.size() <= 4096)) {
            if (end.other_closing() && end.other_gone()) PipeEnd::throw_gone();
            if ((end.unchecked += bytes.size() + 8) > end.block.head().detail / 4) [[unlikely]] {
                end.unchecked = 0;
                if (end.other_gone()) PipeEnd::throw_gone();
            }
            // Overlapping only when others write into the ring.
            if (!in_place && !bytes.empty()) std::memmove(space, bytes.data(), bytes.size());
            end.out.commit(bytes.size(), transport::frame_first | transport::frame_last);
            end.published();
            return true;
        }
    }
    return end.send(bytes, {}, handles, Deadline::after(limit));
}

bool BasicConnection::send_run(std::span<const std::byte> count, std::span<const std::byte> elements, WaitLimit limit) {
    if (end_) [[likely]] return open_end().send(count, elements, {}, Deadline::after(limit));
    std::vector<std::byte> bytes;
    bytes.reserve(count.size() + elements.size());
    bytes.insert(bytes.end(), count.begin(), count.end());
    bytes.insert(bytes.end(), elements.begin(), elements.end());
    return open_stream().send(bytes, {}, Deadline::after(limit));
}

bool BasicConnection::receive_message(Incoming& incoming, WaitLimit limit) {
    if (!end_) [[unlikely]] {
        StreamEnd& stream = open_stream();
        if (!stream.receive(Deadline::after(limit))) return false;
        incoming.bytes = stream.bytes();
        incoming.handles = stream.handles();
        return true;
    }
    PipeEnd& end = open_end();
    auto frame = end.in.peek();
    if (!frame.first()) [[unlikely]] frame = end.next_first(Deadline::after(limit));
    for (;;) {
        if (!frame) return false;
        std::size_t total = 0;
        end.in_ring = true;
        std::span<const std::byte> payload;
        std::byte* to = nullptr;
        try {
            payload = end.open(frame, true, total);
            if (!frame.last()) {
                if (end.handles.empty()) to = channel::place_run(incoming.place, payload, total);
                incoming.placed = to != nullptr;
                if (to) {
                    payload = payload.subspan(channel::run_count);
                    total -= channel::run_count;
                } else {
                    to = (end.assembled = channel::message_memory(total)).get();
                }
            }
        } catch (...) {
            release_message();
            throw;
        }
        if (frame.last()) {
            incoming.bytes = payload;
            incoming.handles = end.handles;
            incoming.placed = false;
            return true;
        }
        std::memcpy(to, payload.data(), payload.size());
        const std::size_t done = payload.size();
        end.in_ring = false;
        end.in.release();
        if (end.collect(to, done, total)) {
            if (!incoming.placed) incoming.bytes = {to, total};
            incoming.handles = end.handles;
            return true;
        }
        frame = end.next_first(Deadline::never());
    }
}

void BasicConnection::release_message() noexcept {
    if (!end_) [[unlikely]] return stream_->release();
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
    if (!end_) [[unlikely]] return open_stream().receive_into(buffer, Deadline::after(limit));
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
    if (!end_) [[unlikely]] return open_stream().wait_readable(Deadline::after(limit));
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
    if (!end_) [[unlikely]] return open_stream().fd();
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
