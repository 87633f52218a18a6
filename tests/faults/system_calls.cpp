#include "faults/system_calls.hpp"

#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <string_view>

namespace mp::test {

namespace {

std::atomic<const Fault*> armed = nullptr;
std::atomic<int> calls_left = 0;
std::atomic<bool> struck = false;
Fault fault;
pid_t owner = 0;

// Not in workers and other children, which may be forks of this.
bool strikes(std::string_view call) {
    const Fault* const which = armed.load();
    if (!which || call != which->call || ::getpid() != owner || calls_left.fetch_sub(1) != 0) return false;
    struck = true;
    return true;
}

bool fails(std::string_view call) {
    if (!strikes(call)) return false;
    errno = fault.error;
    return true;
}

// Pipes and files may give fewer bytes than there are; an event descriptor gives its eight at once.
bool is_stream(int fd) {
    struct stat status{};
    return ::fstat(fd, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) || S_ISCHR(status.st_mode));
}

bool is_short() {
    const Fault* const which = armed.load();
    return which && which->error == 0;
}

}  // namespace

void arm(const Fault& given, int n) {
    fault = given;
    owner = ::getpid();
    calls_left = n;
    struck = false;
    armed = &fault;
}

constexpr const char* no_signal_fds = "MP_TEST_NO_SIGNAL_FDS";
NoSignalFds::NoSignalFds() { ::setenv(no_signal_fds, "1", 1); }
NoSignalFds::~NoSignalFds() { ::unsetenv(no_signal_fds); }

bool disarm() {
    armed = nullptr;
    return struck;
}

}  // namespace mp::test

using mp::test::fails;
using mp::test::is_short;
using mp::test::is_stream;
using mp::test::strikes;

// Each call whose arguments are of no interest here.
#define MP_WRAP(result, name, parameters, arguments)      \
    result __real_##name parameters;                      \
    result __wrap_##name parameters {                     \
        if (fails(#name)) return static_cast<result>(-1); \
        return __real_##name arguments;                   \
    }

extern "C" {

MP_WRAP(int, epoll_create1, (int flags), (flags))
MP_WRAP(int, epoll_ctl, (int fd, int operation, int other, epoll_event* event), (fd, operation, other, event))
MP_WRAP(int, epoll_wait, (int fd, epoll_event* events, int most, int limit), (fd, events, most, limit))
MP_WRAP(int, eventfd, (unsigned value, int flags), (value, flags))
MP_WRAP(pid_t, fork, (), ())
MP_WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
MP_WRAP(int, memfd_create, (const char* name, unsigned flags), (name, flags))
MP_WRAP(int, pipe2, (int* ends, int flags), (ends, flags))
MP_WRAP(int, poll, (pollfd * fds, nfds_t count, int limit), (fds, count, limit))
MP_WRAP(ssize_t, recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags))
MP_WRAP(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags))
MP_WRAP(int, socketpair, (int family, int type, int protocol, int* ends), (family, type, protocol, ends))
MP_WRAP(pid_t, waitpid, (pid_t pid, int* status, int options), (pid, status, options))

void* __real_mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t from);
void* __wrap_mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t from) {
    if (fails("mmap")) return MAP_FAILED;
    return __real_mmap(at, size, protection, flags, fd, from);
}

int __real_fcntl(int fd, int command, long argument);
int __wrap_fcntl(int fd, int command, long argument) {
    if (fails("fcntl")) return -1;
    return __real_fcntl(fd, command, argument);
}

int __real_open(const char* path, int flags, mode_t mode);
int __wrap_open(const char* path, int flags, mode_t mode) {
    if (fails("open")) return -1;
    return __real_open(path, flags, mode);
}

int __real_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment);
int __wrap_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
    if (fails("posix_spawn")) return errno;
    return __real_posix_spawn(pid, path, actions, attributes, arguments, environment);
}

ssize_t __real_read(int fd, void* to, std::size_t size);
ssize_t __wrap_read(int fd, void* to, std::size_t size) {
    if (is_short()) return __real_read(fd, to, size > 1 && is_stream(fd) && strikes("read") ? 1 : size);
    if (fails("read")) return -1;
    return __real_read(fd, to, size);
}

int __real_signalfd(int fd, const sigset_t* signals, int flags);
int __wrap_signalfd(int fd, const sigset_t* signals, int flags) {
    if (!std::getenv(mp::test::no_signal_fds)) return __real_signalfd(fd, signals, flags);
    errno = EMFILE;
    return -1;
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (number == SYS_pidfd_open && fails("pidfd_open")) return -1;
    // Of the futex calls, those that wait.
    if (number == SYS_futex && (b & 127) == FUTEX_WAIT_BITSET && fails("futex")) return -1;
    return __real_syscall(number, a, b, c, d, e, f);
}

}  // extern "C"
