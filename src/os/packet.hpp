// One word and descriptors through a SOCK_SEQPACKET socket (socket.hpp), with a limit on the wait, or none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/deadline.hpp"
#include "base/expected.hpp"
#include "os/socket.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

/// Sends `word` with copies of `descriptors` (at most max_descriptors_a_message). Error ETIMEDOUT when the other side's
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

/// Waits until a packet can be sent, or the deadline.
void wait_writable(int socket, base::Deadline deadline);

/// Whether every process that had the other end has closed it or died. Never waits.
bool other_end_gone(int socket);

}  // namespace mp::os
