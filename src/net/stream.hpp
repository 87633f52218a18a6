// Stream sockets: listening, connecting, and moving bytes and descriptors through them without ever blocking.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/deadline.hpp"
#include "base/expected.hpp"
#include "net/address.hpp"
#include "os/unique_fd.hpp"

namespace mp::net {

/// Binds and listens. `permissions` are those of a Unix socket's file. A socket file that nobody listens at any more is
/// replaced; EADDRINUSE when somebody does.
base::Expected<os::UniqueFd> listen_at(const Address& address, const SocketAddress& where, int backlog,
                                       unsigned permissions);

/// The next connection; EAGAIN when there is none.
base::Expected<os::UniqueFd> accept_from(int listener);

/// Connects; ETIMEDOUT at the deadline.
base::Expected<os::UniqueFd> connect_to(const SocketAddress& where, base::Deadline deadline);

/// Whether descriptors can travel through this socket.
bool is_unix(int socket);
bool is_stream(int socket);

/// As much as there is room for now: EAGAIN when there is none, EPIPE when the other side is gone. The descriptors go
/// with the first byte. No signal.
base::Expected<std::size_t> send_some(int socket, std::span<const std::byte> first, std::span<const std::byte> second,
                                      std::span<const int> descriptors);

/// What is there now: 0 at the end of the stream, EAGAIN when there is nothing, EPIPE when the other side vanished.
base::Expected<std::size_t> receive_some(int socket, std::span<std::byte> to);

/// As receive_some, and appends the descriptors that came along. EMFILE when some were lost because this process may
/// not have more; `count` bytes were received nevertheless.
struct Piece {
    std::size_t count = 0;
    bool descriptors_lost = false;
};
base::Expected<Piece> receive_some(int socket, std::span<std::byte> to, std::vector<os::UniqueFd>& descriptors);

/// Waits until `socket` has something to read (or is at its end), or has room: false at the deadline.
base::Expected<bool> wait_readable(int socket, base::Deadline deadline);
base::Expected<bool> wait_writable(int socket, base::Deadline deadline);

/// Random bytes from the kernel.
base::Expected<void> fill_random(std::span<std::byte> to);

}  // namespace mp::net
