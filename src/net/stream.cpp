#include "net/stream.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "os/descriptor_part.hpp"
#include "os/retry.hpp"

namespace mp::net {

using base::Deadline;
using base::Expected;
using os::UniqueFd;

namespace {

void set(int socket, int level, int option, int value) {
    // Each of them makes a connection better; none is worth refusing it.
    (void)::setsockopt(socket, level, option, &value, sizeof value);
}

/// Short messages leave at once, and a host that vanished is noticed within about a minute.
void tune(int socket, int family) {
    if (family == AF_UNIX) return;
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(socket, IPPROTO_TCP, TCP_KEEPIDLE, 20);
    set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
    set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);
}

Expected<UniqueFd> make_socket(int family, int flags) {
    UniqueFd socket = os::clear_of_streams(UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)));
    if (!socket) return base::last_error();
    return socket;
}

/// Held while a socket file is looked at and replaced, so that two that start at once do not remove each other's.
UniqueFd lock_folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string folder = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) os::retry([&] { return ::flock(fd.get(), LOCK_EX); });
    return fd;
}

bool nobody_listens(const SocketAddress& where) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return false;
    return ::connect(probe.get(), where.get(), where.size) != 0 && errno == ECONNREFUSED;
}

}  // namespace

Expected<UniqueFd> listen_at(const Address& address, const SocketAddress& where, int backlog, unsigned permissions) {
    auto socket = make_socket(where.family(), SOCK_NONBLOCK);
    if (!socket) return socket.error();
    const int fd = socket->get();
    const bool has_file = address.family == Address::Family::unix_path;
    const UniqueFd folder = has_file ? lock_folder_of(address.name) : UniqueFd();
    if (where.family() != AF_UNIX) set(fd, SOL_SOCKET, SO_REUSEADDR, 1);  // connections of before may still be closing
    if (where.family() == AF_INET6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (::bind(fd, where.get(), where.size) != 0) {
        const auto error = base::last_error();
        struct stat file{};
        const bool stale = error.value() == EADDRINUSE && has_file && ::lstat(address.name.c_str(), &file) == 0 &&
                           S_ISSOCK(file.st_mode) && nobody_listens(where);
        if (!stale) return error;
        ::unlink(address.name.c_str());
        if (::bind(fd, where.get(), where.size) != 0) return base::last_error();
    }
    // Before listen(), so that nobody connects under other permissions.
    if (has_file && ::chmod(address.name.c_str(), permissions) != 0) return base::last_error();
    if (::listen(fd, backlog) != 0) return base::last_error();
    return socket;
}

Expected<UniqueFd> accept_from(int listener) {
    for (;;) {
        UniqueFd socket(os::retry([&] { return ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }));
        if (!socket) {
            // These are about a connection that has gone already, not about the listener: accept(2). The loop ends
            // because each repetition takes one connection from the backlog.
            const int gone[] = {ECONNABORTED, EPROTO, ENETDOWN,     ENOPROTOOPT,
                                EHOSTDOWN,    ENONET, EHOSTUNREACH, ENETUNREACH};
            if (std::ranges::find(gone, errno) != std::end(gone)) continue;
            return base::last_error();
        }
        socket = os::clear_of_streams(std::move(socket));
        if (!socket) return base::last_error();
        int domain = AF_UNIX;
        socklen_t size = sizeof domain;
        (void)::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
        tune(socket.get(), domain);
        return socket;
    }
}

Expected<UniqueFd> connect_to(const SocketAddress& where, Deadline deadline) {
    const bool local = where.family() == AF_UNIX;
    auto socket = make_socket(where.family(), local ? 0 : SOCK_NONBLOCK);
    if (!socket) return socket.error();
    const int fd = socket->get();
    tune(fd, where.family());
    for (;;) {
        if (local) {
            // connect() of a Unix socket waits for room in the backlog, and poll() cannot: so the kernel keeps the
            // time.
            timeval limit{};  // zero: none
            if (const auto left = deadline.left()) {
                const auto micro = std::chrono::ceil<std::chrono::microseconds>(*left).count();
                if (micro <= 0) return base::error_of(ETIMEDOUT);
                limit = {micro / 1'000'000, micro % 1'000'000};
            }
            (void)::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        }
        if (::connect(fd, where.get(), where.size) == 0) return socket;
        if (local && errno == EINTR) continue;
        if (local && errno == EAGAIN) return base::error_of(ETIMEDOUT);
        if (errno != EINPROGRESS && errno != EINTR) return base::last_error();
        break;
    }
    const auto ready = wait_writable(fd, deadline);
    if (!ready) return ready.error();
    if (!*ready) return base::error_of(ETIMEDOUT);
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return base::last_error();
    if (error != 0) return base::error_of(error);
    // A port of this host in the range that the kernel gives out can be connected to itself when nobody listens there.
    const auto own = own_address(fd);
    if (own && *own == other_address(fd)) return base::error_of(ECONNREFUSED);
    return socket;
}

bool is_unix(int socket) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

bool is_stream(int socket) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

Expected<std::size_t> send_some(int socket, std::span<const std::byte> first, std::span<const std::byte> second,
                                std::span<const int> descriptors) {
    iovec parts[2] = {{const_cast<std::byte*>(first.data()), first.size()},
                      {const_cast<std::byte*>(second.data()), second.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = second.empty() ? 1 : 2;
    os::DescriptorPart part_of_descriptors;
    part_of_descriptors.attach(message, descriptors);
    const ssize_t count = os::retry([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == ECONNRESET || errno == ETIMEDOUT || errno == EHOSTUNREACH) return base::error_of(EPIPE);
    return base::last_error();
}

Expected<std::size_t> receive_some(int socket, std::span<std::byte> to) {
    const ssize_t count = os::retry([&] { return ::recv(socket, to.data(), to.size(), MSG_DONTWAIT); });
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == ECONNRESET || errno == ETIMEDOUT || errno == EHOSTUNREACH) return base::error_of(EPIPE);
    return base::last_error();
}

Expected<Piece> receive_some(int socket, std::span<std::byte> to, std::vector<UniqueFd>& descriptors) {
    iovec part{to.data(), to.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    os::DescriptorPart part_of_descriptors;
    part_of_descriptors.expect(message);
    const ssize_t count = os::retry([&] { return ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
    if (count < 0) return base::error_of(errno == ECONNRESET ? EPIPE : errno);
    Piece piece{static_cast<std::size_t>(count)};
    piece.descriptors_lost = !os::DescriptorPart::take(message, descriptors);
    return piece;
}

namespace {

Expected<bool> wait_for(int socket, short events, Deadline deadline) {
    pollfd entry{socket, events, 0};
    for (;;) {
        const int ready = ::poll(&entry, 1, deadline.poll_timeout());
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return base::last_error();
        if (deadline.expired()) return false;
    }
}

}  // namespace

Expected<bool> wait_readable(int socket, Deadline deadline) { return wait_for(socket, POLLIN | POLLRDHUP, deadline); }
Expected<bool> wait_writable(int socket, Deadline deadline) { return wait_for(socket, POLLOUT, deadline); }

Expected<void> fill_random(std::span<std::byte> to) {
    while (!to.empty()) {
        const ssize_t count = os::retry([&] { return ::getrandom(to.data(), to.size(), 0); });
        if (count < 0) return base::last_error();
        to = to.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

}  // namespace mp::net
