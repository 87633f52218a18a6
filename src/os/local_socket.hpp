// A pair of connected local sockets that carry small packets with descriptors attached, and tell when the other is gone.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/deadline.hpp"
#include "base/expected.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

/// The most descriptors that one packet carries.
inline constexpr std::size_t packet_descriptors = 253;

/// Keeps packets apart and in order (SOCK_SEQPACKET).
base::Expected<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// Sends `word` with copies of `descriptors` (at most packet_descriptors). Error ETIMEDOUT when the other side's
/// buffer stayed full until the deadline, EPIPE when it is gone. Raises no signal.
base::Expected<void> send_packet(int socket, std::uint64_t word, std::span<const int> descriptors,
                                 base::Deadline deadline);

struct Packet {
    std::uint64_t word = 0;
    std::vector<UniqueFd> descriptors;
};

/// The next packet if there is one; error EAGAIN when not, EPIPE when the other side is gone, EMFILE when descriptors
/// were lost because this process may not have more, EBADMSG when it is none of ours. `peek`: leaves the packet, with
/// its descriptors, for another receiver.
base::Expected<Packet> receive_packet(int socket, bool peek = false);

/// Whether every process that had the other end has closed it or died. Never waits.
bool other_end_gone(int socket);

}  // namespace mp::os
