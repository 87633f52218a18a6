#include "os/socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "os/retry.hpp"

namespace mp::os {

base::Expected<std::pair<UniqueFd, UniqueFd>> socket_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return base::last_error();
    UniqueFd first(ends[0]);
    UniqueFd second(ends[1]);
    first = clear_of_streams(std::move(first));
    second = clear_of_streams(std::move(second));
    if (!first || !second) return base::error_of(EMFILE);
    return std::pair(std::move(first), std::move(second));
}

namespace {

base::Expected<void> send_with(int flags, int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
    if (descriptors.size() > max_descriptors_a_message) return base::error_of(E2BIG);
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * max_descriptors_a_message)];
    if (!descriptors.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        std::memset(control, 0, message.msg_controllen);
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    if (retry([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL | flags); }) < 0) return base::last_error();
    return {};
}

}  // namespace

base::Expected<void> send_message(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
    return send_with(0, socket, bytes, descriptors);
}

base::Expected<void> try_send_message(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
    return send_with(MSG_DONTWAIT, socket, bytes, descriptors);
}

base::Expected<Received> receive_message(int socket, std::span<std::byte> buffer) {
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * max_descriptors_a_message)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = retry([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
    if (size < 0) return base::last_error();

    Received received;
    received.size = static_cast<std::size_t>(size);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            received.descriptors.push_back(clear_of_streams(UniqueFd(fd)));
            if (!received.descriptors.back()) return base::error_of(EMFILE);
        }
    }
    // Descriptors are cut off when this process has no room for more of them.
    if (message.msg_flags & MSG_CTRUNC) return base::error_of(EMFILE);
    if (message.msg_flags & MSG_TRUNC) return base::error_of(EMSGSIZE);
    return received;
}

base::Expected<bool> wait_readable(int fd, base::Deadline deadline) {
    pollfd entry{fd, POLLIN, 0};
    while (true) {
        const int ready = ::poll(&entry, 1, deadline.poll_timeout());
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return base::last_error();
        if (deadline.expired()) return false;
    }
}

}  // namespace mp::os
