#include "os/packet.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "os/retry.hpp"

namespace mp::os {

base::Expected<void> send_packet(int socket, std::uint64_t word, std::span<const int> descriptors,
                                 base::Deadline deadline) {
    alignas(cmsghdr) char control[CMSG_SPACE(max_descriptors_a_message * sizeof(int))];
    iovec part{&word, sizeof word};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        const std::size_t size = descriptors.size_bytes();
        std::memset(control, 0, CMSG_SPACE(size));
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(size);
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(size);
        std::memcpy(CMSG_DATA(header), descriptors.data(), size);
    }
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
    alignas(cmsghdr) char control[CMSG_SPACE(max_descriptors_a_message * sizeof(int))];
    iovec part{&packet.word, sizeof packet.word};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0);
    const auto size = retry([&] { return ::recvmsg(socket, &message, flags); });
    if (size < 0) return base::error_of(errno == ECONNRESET ? EPIPE : errno);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            packet.descriptors.emplace_back(fd);
        }
    }
    if (size == 0) return base::error_of(EPIPE);
    if (message.msg_flags & MSG_CTRUNC) return base::error_of(EMFILE);
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
