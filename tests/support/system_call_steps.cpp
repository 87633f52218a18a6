// In a program linked with mp_kill_at_system_calls() each system call that another process may notice is a kill point
// as well (kill_each_step.hpp), and a victim's bytes leave it a few at a time: half a message is a step.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "shm/kill_point.hpp"

namespace {

constexpr std::size_t bytes_a_step = 20;

bool is_victim() { return mp::shm::kill_hook.load(std::memory_order_relaxed) != nullptr; }

bool is_stream(int socket) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

template <class Result>
Result step(Result result) {
    const int error = errno;
    mp::shm::kill_point();
    errno = error;
    return result;
}

}  // namespace

#define MP_STEP(result, name, parameters, arguments) \
    result __real_##name parameters;                 \
    result __wrap_##name parameters { return step(__real_##name arguments); }

extern "C" {

MP_STEP(int, accept4, (int fd, sockaddr* from, socklen_t* size, int flags), (fd, from, size, flags))
MP_STEP(int, bind, (int fd, const sockaddr* to, socklen_t size), (fd, to, size))
MP_STEP(int, chmod, (const char* path, mode_t mode), (path, mode))
MP_STEP(int, close, (int fd), (fd))
MP_STEP(int, connect, (int fd, const sockaddr* to, socklen_t size), (fd, to, size))
MP_STEP(int, epoll_create1, (int flags), (flags))
MP_STEP(int, epoll_ctl, (int fd, int operation, int other, epoll_event* event), (fd, operation, other, event))
MP_STEP(int, eventfd, (unsigned value, int flags), (value, flags))
MP_STEP(int, listen, (int fd, int backlog), (fd, backlog))
MP_STEP(int, poll, (pollfd * entries, nfds_t count, int limit), (entries, count, limit))
MP_STEP(ssize_t, read, (int fd, void* to, std::size_t size), (fd, to, size))
MP_STEP(ssize_t, recv, (int fd, void* to, std::size_t size, int flags), (fd, to, size, flags))
MP_STEP(ssize_t, recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags))
MP_STEP(int, shutdown, (int fd, int how), (fd, how))
MP_STEP(int, socket, (int family, int type, int protocol), (family, type, protocol))
MP_STEP(int, unlink, (const char* path), (path))
MP_STEP(ssize_t, write, (int fd, const void* from, std::size_t size), (fd, from, size))

ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
    if (!is_victim() || !is_stream(fd)) return step(__real_sendmsg(fd, message, flags));
    msghdr part = *message;
    iovec pieces[2];
    part.msg_iov = pieces;
    part.msg_iovlen = std::min<std::size_t>(message->msg_iovlen, 2);
    std::size_t left = bytes_a_step;
    for (std::size_t i = 0; i < part.msg_iovlen; ++i) {
        pieces[i] = {message->msg_iov[i].iov_base, std::min(message->msg_iov[i].iov_len, left)};
        left -= pieces[i].iov_len;
    }
    return step(__real_sendmsg(fd, &part, flags));
}

}  // extern "C"
