#include "process/worker_mode.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include <multiprocessing/errors.hpp>

#include "os/retry.hpp"
#include "process/server.hpp"

namespace mp::process {
namespace {

constexpr char variable[] = "MULTIPROCESSING_WORKER";

enum class Stage : unsigned char { not_looked, no_marker, marked, diverted };

// One fact about the whole process, found before any constructor has run: hence plain static data. Written before there
// can be other threads: by the start hook, or by the first call of any function here.
struct State {
    Stage stage = Stage::not_looked;
    bool hook_in_place = false;
    bool main_reached = false;
    Marker marker;
};
constinit State state;

bool is_seqpacket_socket(int fd) {
    int domain = 0;
    int type = 0;
    socklen_t size = sizeof domain;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) return false;
    size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

bool peer_is_gone(int fd) {
    pollfd entry{fd, 0, 0};
    return os::retry([&] { return ::poll(&entry, 1, 0); }) == 1 && (entry.revents & POLLHUP) != 0;
}

std::optional<Marker> look() {
    const char* text = ::getenv(variable);
    if (text == nullptr) return std::nullopt;
    int fd = -1;
    const char* const end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, fd);
    const bool is_number = error == std::errc() && rest == end && fd > STDERR_FILENO;
    ::unsetenv(variable);
    if (!is_number || !is_seqpacket_socket(fd)) return std::nullopt;

    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != ::geteuid()) return std::nullopt;
    // The parent may die, and getppid() change, between any two lines: so look at the socket after comparing.
    const bool is_parent = peer.pid > 0 && peer.pid == ::getppid();
    if (peer_is_gone(fd)) ::_exit(0);
    if (!is_parent) return std::nullopt;
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return std::nullopt;
    return Marker{fd, peer.pid};
}

}  // namespace

std::string marker_entry(int fd) { return std::string(variable) + '=' + std::to_string(fd); }

std::optional<Marker> take_marker() {
    if (state.stage == Stage::not_looked) {
        const auto found = look();
        state.stage = found ? Stage::marked : Stage::no_marker;
        if (found) state.marker = *found;
    }
    if (state.stage == Stage::no_marker) return std::nullopt;
    return state.marker;
}

Role role() {
    if (!take_marker() || state.stage == Stage::diverted) return Role::program;
    return state.hook_in_place && !state.main_reached ? Role::copy_before_main : Role::copy_in_main;
}

void require_not_runaway_copy() {
    switch (role()) {
        case Role::program: return;
        case Role::copy_before_main:
            throw Error("a static initialiser uses worker processes, and this process is a worker that runs it once more: "
                        "create pools and processes in main, or in functions called from it");
        case Role::copy_in_main:
            throw Error("this process was started as a worker but reached main: call mp::init(argc, argv) first thing in "
                        "main, or link the program itself with the CMake target multiprocessing::multiprocessing "
                        "(with -static: multiprocessing::fully_static)");
    }
}

void hook_in_place() { state.hook_in_place = true; }

std::optional<int> divert(int argc, char** argv) {
    const auto marker = take_marker();
    state.main_reached = true;
    if (!marker || state.stage == Stage::diverted) return std::nullopt;
    state.stage = Stage::diverted;
    return run_marked_copy(*marker, argc, argv);
}

}  // namespace mp::process
