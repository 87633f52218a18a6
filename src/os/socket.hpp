// Unix sockets that keep message boundaries and carry descriptors.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "base/deadline.hpp"
#include "base/expected.hpp"
#include "os/descriptor_part.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

/// Two connected SOCK_SEQPACKET sockets: each send is one receive, and the end of one is end-of-file at the other.
base::Expected<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// Sends one message. Waits while the peer's buffer is full; a peer that is gone is EPIPE, never SIGPIPE.
base::Expected<void> send_message(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors = {});

/// As send_message, but EAGAIN instead of waiting.
base::Expected<void> try_send_message(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors = {});

/// What arrived: the size of the message (0: end of file) and the descriptors that came with it.
struct Received {
    std::size_t size = 0;
    std::vector<UniqueFd> descriptors;
};

/// Receives one message into `buffer`, waiting for it. A message longer than the buffer is EMSGSIZE.
base::Expected<Received> receive_message(int socket, std::span<std::byte> buffer);

/// Waits until `fd` is readable (or at its end): true, or false at the deadline. Signals do not end the wait.
base::Expected<bool> wait_readable(int fd, base::Deadline deadline);

}  // namespace mp::os
