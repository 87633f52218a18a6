#include "channel/stream_end.hpp"

#include <algorithm>
#include <new>

#include <multiprocessing/connection.hpp>

#include "channel/raise.hpp"
#include "net/stream.hpp"
#include "os/packet.hpp"

namespace mp::detail {

using base::Deadline;
using channel::FrameHead;

namespace {

constexpr std::size_t first_room = 1 << 20;  // what is believed of a message's size before it has arrived
constexpr std::size_t keep_room = 64 << 10;  // memory that is kept for the next message

std::size_t batches_of(std::size_t handles) {
    return (handles + os::max_descriptors_a_message - 1) / os::max_descriptors_a_message;
}

}  // namespace

StreamEnd::StreamEnd(os::UniqueFd socket, std::optional<net::Handshake> opening)
    : socket_(std::move(socket)),
      unix_(net::is_unix(socket_.get())),
      keyless_(opening.has_value()),
      opening_(std::move(opening)) {}

void StreamEnd::close() { socket_.reset(); }

int StreamEnd::fd() const {
    if (!socket_) throw Closed("this Connection is closed");
    return socket_.get();
}

void StreamEnd::damaged() {
    throw SerializationError("what arrived over a connection is no message; the connection cannot be used any more");
}

void StreamEnd::gone() {
    if (head_got_ != 0) throw Closed("the other side of the connection went away in the middle of a message");
    throw Closed("the other side of the connection is closed");
}

/// Sends at least one byte and returns how many; 0 at the deadline. `begun`: in the middle of a message.
std::size_t StreamEnd::push(std::span<const std::byte> first, std::span<const std::byte> second,
                            std::span<const int> fds, Deadline deadline, bool begun) {
    if (begun) deadline = Deadline::never();  // only the other side's death ends this wait
    for (;;) {
        const auto sent = net::send_some(fd(), first, second, fds);
        if (sent) return *sent;
        if (sent.error().value() == EPIPE) {
            throw Closed(std::string("the other side of the connection is closed") +
                         (keyless_ ? "; does the listener ask for an authentication key?" : ""));
        }
        if (sent.error().value() != EAGAIN) channel::raise(sent.error(), "cannot send a message over a connection");
        const auto room = net::wait_writable(fd(), deadline);
        if (!room) channel::raise(room.error(), "cannot send a message over a connection");
        if (!*room) return 0;
    }
}

bool StreamEnd::send(std::span<const std::byte> bytes, std::span<const serial::Handle> handles, Deadline deadline) {
    if (!handles.empty() && !unix_) {
        throw SerializationError(
            "a message that holds handles (a Queue, Lock, Connection, descriptor ...) cannot be sent "
            "over TCP; they mean something on this machine only");
    }
    if (handles.size() > FrameHead::most_handles) {
        throw SerializationError("a message over a connection holds at most " +
                                 std::to_string(FrameHead::most_handles) + " handles");
    }
    const FrameHead head{.handles = static_cast<std::uint32_t>(handles.size()), .bytes = bytes.size()};
    auto head_bytes = std::as_bytes(std::span(&head, 1));
    std::vector<int> fds;
    const auto next_batch = [&] {
        const auto count = std::min(handles.size(), os::max_descriptors_a_message);
        fds.clear();
        for (const auto& handle : handles.first(count)) fds.push_back(handle.fd());
        handles = handles.subspan(count);
    };
    next_batch();
    bool begun = false;
    while (!head_bytes.empty()) {
        // With more batches to come the body has to wait for them.
        const std::size_t sent =
            push(head_bytes, handles.empty() ? bytes : std::span<const std::byte>(), fds, deadline, begun);
        if (sent == 0) return false;
        begun = true;
        fds.clear();
        const std::size_t of_head = std::min(sent, head_bytes.size());
        head_bytes = head_bytes.subspan(of_head);
        bytes = bytes.subspan(sent - of_head);
    }
    const std::byte filler{};
    while (!handles.empty()) {
        next_batch();
        push({&filler, 1}, {}, fds, deadline, true);
    }
    while (!bytes.empty()) bytes = bytes.subspan(push(bytes, {}, {}, deadline, true));
    return true;
}

/// Fills `to` from `got` on: true when it is full, false at the deadline; throws Closed at the end of the stream.
bool StreamEnd::pull(std::span<std::byte> to, std::size_t& got, bool with_descriptors, Deadline deadline) {
    while (got < to.size()) {
        const auto rest = to.subspan(got);
        std::size_t count = 0;
        std::error_code error;
        if (with_descriptors) {
            const auto piece = net::receive_some(fd(), rest, arrived_);
            if (piece) {
                count = piece->count;
                descriptors_lost_ |= piece->descriptors_lost;
            } else {
                error = piece.error();
            }
        } else {
            const auto received = net::receive_some(fd(), rest);
            if (received)
                count = *received;
            else
                error = received.error();
        }
        if (error.value() == EAGAIN) {
            const auto ready = net::wait_readable(fd(), deadline);
            if (!ready) channel::raise(ready.error(), "cannot receive a message from a connection");
            if (!*ready) return false;
            continue;
        }
        if (error && error.value() != EPIPE) channel::raise(error, "cannot receive a message from a connection");
        if (count == 0) gone();
        got += count;
    }
    return true;
}

/// With the head of the first message there: is it one? Throws AuthenticationError when the listener wants a key.
bool StreamEnd::check_opening(Deadline deadline) {
    const auto head = std::as_bytes(std::span(&head_, 1));
    if (!net::begins_hello(head)) {
        opening_.reset();
        return true;
    }
    if (!pull(hello_rest_, hello_got_, false, deadline)) return false;
    for (const auto part : {head, std::span<const std::byte>(hello_rest_)}) {
        if (opening_->failed()) break;
        std::ranges::copy(part, opening_->wanted().begin());
        opening_->received(part.size());
    }
    throw AuthenticationError("cannot use the connection: " + reason(opening_->state(), false));
}

bool StreamEnd::read_head(Deadline deadline) {
    if (!head_known_) {
        if (!pull(std::as_writable_bytes(std::span(&head_, 1)), head_got_, unix_, deadline)) return false;
        if (opening_ && !check_opening(deadline)) return false;
        if (!head_.valid() || (head_.handles != 0 && !unix_)) damaged();
        head_known_ = true;
        const std::size_t batches = batches_of(head_.handles);
        fillers_ = batches > 1 ? batches - 1 : 0;
    }
    while (fillers_ != 0) {
        std::byte filler;
        std::size_t got = 0;
        if (!pull({&filler, 1}, got, true, deadline)) return false;
        --fillers_;
        if (arrived_.size() > head_.handles) damaged();
    }
    if (!descriptors_lost_ && arrived_.size() != head_.handles) damaged();
    return true;
}

void StreamEnd::grow(std::size_t size) {
    auto* memory = static_cast<std::byte*>(std::realloc(body_.get(), std::max<std::size_t>(size, 1)));
    if (!memory) throw std::bad_alloc();
    (void)body_.release();
    body_.reset(memory);
    room_ = size;
}

bool StreamEnd::read_body(Deadline deadline) {
    const std::size_t size = head_.bytes;
    while (got_ < size) {
        // Memory grows with what has arrived, not with what was announced.
        if (got_ == room_) grow(std::min(size, std::max(2 * room_, first_room)));
        if (!pull({body_.get(), std::min(size, room_)}, got_, false, deadline)) return false;
    }
    return true;
}

bool StreamEnd::receive(Deadline deadline) {
    if (!read_head(deadline) || !read_body(deadline)) return false;
    if (descriptors_lost_) {
        release();
        channel::raise(base::error_of(EMFILE), "cannot receive the descriptors of a message");
    }
    for (auto& descriptor : arrived_) handles_.emplace_back(descriptor.release());
    arrived_.clear();
    return true;
}

std::optional<std::size_t> StreamEnd::receive_into(std::span<std::byte> buffer, Deadline deadline) {
    if (!read_head(deadline)) return std::nullopt;
    if (head_.bytes > buffer.size()) throw BufferTooShort(head_.bytes, buffer.size());
    if (got_ == 0) {
        // Straight into the caller's memory.
        std::size_t got = 0;
        bool all = false;
        try {
            all = pull(buffer.first(head_.bytes), got, false, deadline);
        } catch (...) {
            release();
            throw;
        }
        if (all) {
            const std::size_t size = head_.bytes;
            release();
            return size;
        }
        if (got > room_) grow(got);
        std::copy_n(buffer.data(), got, body_.get());
        got_ = got;
        return std::nullopt;
    }
    if (!read_body(deadline)) return std::nullopt;
    const std::size_t size = got_;
    std::copy_n(body_.get(), size, buffer.data());
    release();
    return size;
}

void StreamEnd::release() noexcept {
    head_ = {};
    head_got_ = 0;
    head_known_ = false;
    descriptors_lost_ = false;
    arrived_.clear();
    handles_.clear();
    got_ = 0;
    if (room_ > keep_room) {
        body_.reset();
        room_ = 0;
    }
}

bool StreamEnd::wait_readable(Deadline deadline) {
    const auto ready = net::wait_readable(fd(), deadline);
    if (!ready) channel::raise(ready.error(), "cannot wait for a connection");
    return *ready;
}

}  // namespace mp::detail
