#include "os/socket.hpp"

#include <poll.h>
#include <sys/socket.h>

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
    DescriptorPart part_of_descriptors;
    part_of_descriptors.attach(message, descriptors);
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
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    DescriptorPart part_of_descriptors;
    part_of_descriptors.expect(message);
    const ssize_t size = retry([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
    if (size < 0) return base::last_error();

    Received received;
    received.size = static_cast<std::size_t>(size);
    if (!DescriptorPart::take(message, received.descriptors)) return base::error_of(EMFILE);
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
