#include "os/packet.hpp"

#include <poll.h>
#include <sys/socket.h>

#include "os/retry.hpp"

namespace mp::os {

base::Expected<void> send_packet(int socket, std::uint64_t word, std::span<const int> descriptors,
                                 base::Deadline deadline) {
    iovec part{&word, sizeof word};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    DescriptorPart part_of_descriptors;
    part_of_descriptors.attach(message, descriptors);
    for (;;) {
        if (retry([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); }) >= 0) return {};
        if (errno == ECONNRESET) return base::error_of(EPIPE);
        if (errno != EAGAIN) return base::last_error();
        pollfd waiting{socket, POLLOUT, 0};
        if (deadline.expired()) return base::error_of(ETIMEDOUT);
        ::poll(&waiting, 1, deadline.poll_timeout());
    }
}

base::Expected<Packet> receive_packet(int socket, bool peek) {
    Packet packet;
    iovec part{&packet.word, sizeof packet.word};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    DescriptorPart part_of_descriptors;
    part_of_descriptors.expect(message);
    const int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0);
    const auto size = retry([&] { return ::recvmsg(socket, &message, flags); });
    if (size < 0) return base::error_of(errno == ECONNRESET ? EPIPE : errno);
    const bool all = DescriptorPart::take(message, packet.descriptors);
    if (size == 0) return base::error_of(EPIPE);
    if (!all) return base::error_of(EMFILE);
    if (size != sizeof packet.word) return base::error_of(EBADMSG);
    return packet;
}

void wait_writable(int socket, base::Deadline deadline) {
    pollfd waiting{socket, POLLOUT, 0};
    ::poll(&waiting, 1, deadline.poll_timeout());
}

bool other_end_gone(int socket) {
    pollfd state{socket, POLLRDHUP, 0};
    if (retry([&] { return ::poll(&state, 1, 0); }) != 1) return false;
    return state.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL);
}

}  // namespace mp::os
