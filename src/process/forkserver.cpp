#include "process/forkserver.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <iostream>

#include <multiprocessing/errors.hpp>

#include "os/pidfd.hpp"
#include "os/retry.hpp"
#include "os/socket.hpp"
#include "os/threads.hpp"
#include "process/execute.hpp"
#include "process/server.hpp"

namespace mp::process {

namespace {

// Static initialisers of the program run before the copy answers; they may take their time, but not for ever.
constexpr auto patience = std::chrono::seconds(60);

// The shared server of this process. In a forked child the pointer is the parent's and is left alone.
struct Shared {
    std::mutex mutex;
    std::shared_ptr<Forkserver> server;
    pid_t owner = 0;
};

// Never destroyed: processes may be started and ended by static objects until the very end.
Shared& shared_state() {
    static Shared* state = new Shared;  // NOLINT(cppcoreguidelines-owning-memory)
    static pid_t owner = ::getpid();
    if (owner != ::getpid()) {
        // A child of fork(): the mutex may be held by a thread that does not exist here. Start afresh.
        state = new Shared;  // NOLINT(cppcoreguidelines-owning-memory)
        owner = ::getpid();
    }
    return *state;
}

std::string ending_of(pid_t pid) {
    int how = 0;
    if (os::retry([&] { return ::waitpid(pid, &how, 0); }) < 0) return "it ended";
    if (WIFEXITED(how)) return "it exited with code " + std::to_string(WEXITSTATUS(how));
    return "it was killed by signal " + std::to_string(WTERMSIG(how));
}

}  // namespace

Forkserver::Forkserver(os::UniqueFd control, OrderSockets<os::ForkPrivateFd> orders, pid_t pid, os::UniqueFd pidfd)
    : control_(std::move(control)),
      orders_(std::move(orders)),
      pid_(pid),
      user_(::geteuid()),
      group_(::getegid()),
      pidfd_(std::move(pidfd)) {}

Forkserver::~Forkserver() = default;

std::shared_ptr<Forkserver> Forkserver::execute() {
    auto ends = os::socket_pair(), even = os::socket_pair(), odd = os::socket_pair();
    for (const auto* pair : {&ends, &even, &odd})
        if (!*pair) throw SystemError(pair->error(), "cannot start the fork server: socketpair");
    const auto copy = execute_copy(ends->second.get());
    if (!copy) throw SystemError(copy.error(), "cannot start the fork server: cannot execute a copy of this program");
    ends->second.reset();

    const int socket = ends->first.get();
    const wire::Serve request{.owner = ::getpid()};
    wire::Ready ready;
    const auto sent = send(socket, request, std::array{even->second.get(), odd->second.get()});
    even->second.reset();
    odd->second.reset();
    // A copy that has ended is told of below, with how it ended.
    if (!sent && sent.error() != std::errc::broken_pipe && sent.error() != std::errc::connection_reset) {
        ::kill(*copy, SIGKILL);
        ending_of(*copy);
        throw SystemError(sent.error(), "cannot start the fork server: cannot send to the copy of this program");
    }
    const auto readable = os::wait_readable(socket, base::Deadline::after(patience));
    if (readable && !*readable) {
        ::kill(*copy, SIGKILL);
        ending_of(*copy);
        throw Error(
            "cannot start the fork server: the copy of this program was not ready after 60 s; do its static "
            "initialisers wait for something?");
    }
    const auto answer = os::receive_message(socket, std::as_writable_bytes(std::span(&ready, 1)));
    // The copy has left its place to the server that it forked, or has failed; either way it ends now.
    const std::string ending = ending_of(*copy);
    if (!sent || !answer || answer->size != sizeof ready || ready.kind != wire::Kind::ready)
        throw Error("cannot start the fork server: the copy of this program did not enter worker mode (" + ending +
                    "); link it with the library's start hook, or call mp::init(argc, argv) first thing in main");
    if (ready.server == 0)
        throw SystemError(base::error_of(ready.error), "cannot start the fork server: fork or signalfd");
    auto pidfd = os::open_pidfd(ready.server);
    return std::make_shared<Forkserver>(std::move(ends->first),
                                        OrderSockets<os::ForkPrivateFd>{os::ForkPrivateFd(std::move(even->first)),
                                                                        os::ForkPrivateFd(std::move(odd->first))},
                                        ready.server, pidfd ? std::move(*pidfd) : os::UniqueFd());
}

std::shared_ptr<Forkserver> Forkserver::snapshot() {
    if (auto threads = os::other_threads(); !threads.empty()) throw UnsafeFork(std::move(threads));
    auto ends = os::socket_pair();
    if (!ends) throw SystemError(ends.error(), "cannot make a snapshot of this process: socketpair");
    // What sits in a buffer now would be written again by each process of the snapshot.
    std::fflush(nullptr);
    std::cout.flush();
    std::cerr.flush();
    std::clog.flush();

    const pid_t owner = ::getpid();
    const pid_t first = ::fork();
    if (first < 0) throw SystemError(base::last_error(), "cannot make a snapshot of this process: fork");
    if (first == 0) {
        // As with the executed copy: detached, so that the owner's own waits for children never see it.
        const pid_t detached = ::fork();
        if (detached < 0) {
            const wire::Ready failed{.error = errno};
            static_cast<void>(send(ends->second.get(), failed));
        }
        if (detached != 0) std::_Exit(0);
        ends->first.reset();
        serve(std::move(ends->second), owner, true);
    }
    ends->second.reset();
    wire::Ready ready;
    const auto answer = os::receive_message(ends->first.get(), std::as_writable_bytes(std::span(&ready, 1)));
    const std::string ending = ending_of(first);
    if (!answer || answer->size != sizeof ready) throw Error("cannot make a snapshot of this process: " + ending);
    if (ready.server == 0)
        throw SystemError(base::error_of(ready.error), "cannot make a snapshot of this process: fork or signalfd");
    auto pidfd = os::open_pidfd(ready.server);
    return std::make_shared<Forkserver>(std::move(ends->first), OrderSockets<os::ForkPrivateFd>(), ready.server,
                                        pidfd ? std::move(*pidfd) : os::UniqueFd());
}

std::shared_ptr<Forkserver> Forkserver::shared() {
    Shared& state = shared_state();
    std::lock_guard lock(state.mutex);
    if (!state.server || !state.server->alive() || !state.server->has_callers_rights()) {
        state.server.reset();
        require_not_runaway_copy();
        state.server = execute();
    }
    return state.server;
}

void Forkserver::shut_down_shared() {
    Shared& state = shared_state();
    std::shared_ptr<Forkserver> server;
    {
        std::lock_guard lock(state.mutex);
        server = std::move(state.server);
    }
    if (!server) return;
    server->control_.reset();
    if (server->pidfd_) static_cast<void>(os::wait_readable(server->pidfd_.get(), base::Deadline::never()));
}

bool Forkserver::has_callers_rights() const { return user_ == ::geteuid() && group_ == ::getegid(); }

bool Forkserver::alive() const {
    std::array<pollfd, 2> watched{pollfd{control_.get(), 0, 0}, pollfd{pidfd_.get(), POLLIN, 0}};
    if (watched[0].fd < 0) return false;
    ::poll(watched.data(), watched.size(), 0);
    return (watched[0].revents & (POLLHUP | POLLERR)) == 0 && watched[1].revents == 0;
}

// False when the server has died without one. A process that it had just forked may hold its end of the socket still.
bool Forkserver::wait_for_answer() const {
    std::array<pollfd, 2> watched{pollfd{control_.get(), POLLIN, 0}, pollfd{pidfd_.get(), POLLIN, 0}};
    os::retry([&] { return ::poll(watched.data(), watched.size(), -1); });
    if (watched[0].revents == 0) ::poll(watched.data(), 1, 0);  // its last answer, from before it died
    return watched[0].revents != 0;
}

// One message of the server: the answer to a request, or an offer, which is kept.
base::Expected<std::optional<SpawnReply>> Forkserver::receive() {
    std::array<std::byte, sizeof(wire::Offer)> bytes;
    const auto message = [&]<class T>(T value) {
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    };
    bytes.fill({});
    auto received = os::receive_message(control_.get(), bytes);
    if (message(wire::Kind()) == wire::Kind::offer) {
        // Without descriptors of this process for all of it there is none.
        offer_.reset();
        if (received && received->size == bytes.size() && received->descriptors.size() >= 3) {
            const auto offer = message(wire::Offer());
            auto& fds = received->descriptors;
            offer_.emplace(offer.pid, offer.number, offer.place, std::move(fds[0]), std::move(fds[1]),
                           std::move(fds[2]), fds.size() > 3 ? std::move(fds[3]) : os::UniqueFd(), offer.inheritance,
                           std::unique_lock<std::mutex>());
        }
        return std::optional<SpawnReply>();
    }
    if (!received) return received.error();
    if (received->size == 0) return base::error_of(ECONNRESET);
    if (received->size != sizeof(wire::Spawned)) return base::error_of(EPROTO);
    const auto answer = message(wire::Spawned());
    if (answer.error != 0) return base::error_of(answer.error);
    SpawnReply reply{.pid = answer.pid, .pidfd = {}};
    if (!received->descriptors.empty()) reply.pidfd = std::move(received->descriptors.front());
    return std::optional(std::move(reply));
}

bool Offer::has_ended() const {
    const auto ended = os::wait_readable(pidfd ? pidfd.get() : status.get(), base::Deadline::now());
    return ended && *ended;
}

std::optional<Offer> Forkserver::take_spare() {
    std::unique_lock turn(spares_, std::try_to_lock);
    if (!turn) return std::nullopt;
    std::lock_guard lock(mutex_);
    const auto now = base::Deadline::now();
    for (auto ready = os::wait_readable(control_.get(), now); ready && *ready;
         ready = os::wait_readable(control_.get(), now))
        if (const auto message = receive(); !message) return std::nullopt;  // the server is gone
    auto offer = std::exchange(offer_, std::nullopt);
    if (!offer || offer->inheritance != Inheritance::of(pid_) || offer->has_ended()) return std::nullopt;
    offer->turn = std::move(turn);
    return offer;
}

bool Forkserver::give(const Offer& spare, std::span<const std::byte> packet, std::span<const int> own,
                      std::span<const serial::Handle> handles) {
    std::lock_guard lock(mutex_);
    if (!send_order(orders_.at(spare.place).get(), packet, own, handles)) return false;
    // In the same breath, so that the server hears of it before of any other request. One that is gone need not know.
    static_cast<void>(send(control_.get(), wire::Taken{.pid = spare.pid}));
    return true;
}

base::Expected<SpawnReply> Forkserver::spawn(std::span<const std::byte> packet, std::span<const int> own,
                                             std::span<const serial::Handle> handles) {
    std::lock_guard lock(mutex_);
    if (auto sent = send_order(control_.get(), packet, own, handles); !sent) return sent.error();
    while (true) {
        if (!wait_for_answer()) return base::error_of(ECONNRESET);
        auto answer = receive();
        if (!answer) return answer.error();
        if (!*answer) continue;
        return **std::move(answer);
    }
}

base::Expected<void> Forkserver::signal(pid_t pid, int signal) {
    std::lock_guard lock(mutex_);
    const wire::Signal request{.pid = pid, .signal = signal};
    return send(control_.get(), request);
}

}  // namespace mp::process
