// One end of a connection over a socket: messages in frames, with descriptors where the socket can carry them.
#pragma once

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <multiprocessing/detail/serial_handle.hpp>

#include "base/deadline.hpp"
#include "net/handshake.hpp"
#include "os/unique_fd.hpp"

namespace mp::channel {

/// A frame's head, in the byte order that the handshake has found to be that of both.
struct FrameHead {
    static constexpr std::uint32_t expected_magic = 0x6672'706dU;  // "mprf"
    static constexpr std::uint32_t most_handles = 1 << 14;
    static constexpr std::uint64_t most_bytes = std::uint64_t{1} << 46;

    std::uint32_t magic = expected_magic;
    std::uint32_t handles = 0;
    std::uint64_t bytes = 0;

    bool valid() const { return magic == expected_magic && handles <= most_handles && bytes <= most_bytes; }
};
static_assert(sizeof(FrameHead) == 16);

}  // namespace mp::channel

namespace mp::detail {

/// One thread at a time may send, and one may receive; close() only when neither does. Nothing is read ahead of the
/// current message, so that several processes can share the socket. Errors are exceptions: Closed when the other side
/// is gone, SerializationError for a message of no known form, after which the connection is of no use.
class StreamEnd {
  public:
    /// `opening`: of a client without a key, which hears of the listener's only when that asks for one; the first
    /// receive looks whether a hello has come instead of a message.
    explicit StreamEnd(os::UniqueFd socket, std::optional<net::Handshake> opening = {});

    bool closed() const { return !socket_; }
    void close();
    /// Lets go of the descriptor, which somebody else closes.
    void abandon() { (void)socket_.release(); }
    int fd() const;
    bool is_unix() const { return unix_; }
    /// Between two messages: the socket may be handed to another process.
    bool between_messages() const { return !head_known_ && head_got_ == 0; }

    /// False, with nothing sent, when there was no room until the deadline. What has begun is finished.
    bool send(std::span<const std::byte> bytes, std::span<const serial::Handle> handles, base::Deadline deadline);

    /// True when a message is there, whole; bytes() and handles() are valid until release(). False at the deadline:
    /// what has arrived of a message is kept for the next call.
    bool receive(base::Deadline deadline);
    /// As receive(), into `buffer`: returns the size of the message; BufferTooShort leaves it where it is.
    std::optional<std::size_t> receive_into(std::span<std::byte> buffer, base::Deadline deadline);
    std::span<const std::byte> bytes() const { return {body_.get(), got_}; }
    std::span<const serial::Handle> handles() const { return handles_; }
    void release() noexcept;

    /// Whether something has arrived, or the other side is gone.
    bool wait_readable(base::Deadline deadline);

  private:
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };

    std::size_t push(std::span<const std::byte> first, std::span<const std::byte> second, std::span<const int> fds,
                     base::Deadline deadline, bool begun);
    bool pull(std::span<std::byte> to, std::size_t& got, bool with_descriptors, base::Deadline deadline);
    bool check_opening(base::Deadline deadline);
    bool read_head(base::Deadline deadline);
    bool read_body(base::Deadline deadline);
    void grow(std::size_t size);
    [[noreturn]] void damaged();
    [[noreturn]] void gone();

    os::UniqueFd socket_;
    bool unix_ = false, keyless_ = false;
    std::optional<net::Handshake> opening_;
    std::array<std::byte, net::Handshake::hello_size - sizeof(channel::FrameHead)> hello_rest_{};  // behind head_
    std::size_t hello_got_ = 0;
    // The message that is being received
    channel::FrameHead head_;
    std::size_t head_got_ = 0;  // bytes of head_ that are there
    bool head_known_ = false;
    std::size_t fillers_ = 0;  // bytes still to come that only carry descriptors
    std::vector<os::UniqueFd> arrived_;
    bool descriptors_lost_ = false;
    std::vector<serial::Handle> handles_;
    std::unique_ptr<std::byte, Free> body_;
    std::size_t room_ = 0, got_ = 0;
};

}  // namespace mp::detail
