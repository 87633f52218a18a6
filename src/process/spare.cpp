#include "process/spare.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>
#include <vector>

#include "os/futex.hpp"
#include "os/pidfd.hpp"
#include "os/retry.hpp"
#include "process/ties.hpp"

namespace mp::process {

namespace {

// Those of the program, from its static initialisers, for signals that others send: these would be pending, or be
// handled, before there is a process that they could be meant for.
bool has_signal_handlers() {
    constexpr std::array by_itself{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction action{};
        if (std::ranges::count(by_itself, signal) || ::sigaction(signal, nullptr, &action) != 0) continue;
        if ((action.sa_flags & SA_SIGINFO) || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN))
            return true;
    }
    return false;
}

// False where memory is too short for it.
bool performed(Rehearsal& rehearsal, Packet& packet) {
    try {
        rehearsal.perform(packet);
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

struct Ends {
    os::UniqueFd order, lifeline, report, server;
};

// Waits for the order of the spare of that number. False when none will come.
bool receive_own(Packet& packet, const Ends& ends, std::uint64_t number) {
    const int orders = ends.order.get();
    wire::Spawn spawn;
    do {
        packet.descriptors.clear();
        std::array<pollfd, 2> watched{pollfd{orders, POLLIN, 0}, pollfd{ends.server.get(), POLLIN, 0}};
        if (os::retry([&] { return ::poll(watched.data(), watched.size(), -1); }) < 0) return false;
        // The server is gone. From now on the owner cannot send anything; what it has sent before is an order like any
        // other.
        if (!watched[0].revents) ::shutdown(orders, SHUT_RD);
        if (!packet.receive(orders) || packet.size == 0) return false;
    } while (!packet.read(spawn) || spawn.spare != number);
    return true;
}

[[noreturn]] void wait_for_order(Ends ends, std::uint64_t number, Packet& packet, Rehearsal& rehearsal) noexcept {
    ::prctl(PR_SET_NAME, "mp-spare");
    // A signal that ends a process ends the spare, so that none is left to meet a process that was not there when it
    // was sent.
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    auto mapped = os::Mapping::shared(ends.report.get(), sizeof(ReportPage));
    if (!mapped) std::_Exit(0);
    ends.report.reset();
    auto& report = *reinterpret_cast<ReportPage*>(mapped->data());
    static_cast<void>(report.begun.load());  // maps its page
    const auto bound = os::bind_lifeline(ends.lifeline.release());
    if (bound && !*bound) std::_Exit(0);

    if (!performed(rehearsal, packet) || !receive_own(packet, ends, number)) std::_Exit(0);
    auto order = take_order(packet, {}, Receiver::spare);
    ends = {};
    if (!order || !begin(report)) std::_Exit(255);
    os::futex_wake(report.begun, 1);
    run_booted(order->decoded(), *std::move(mapped), std::move(order->fds), false);
}

}  // namespace

void Spare::was_taken(pid_t pid) {
    if (pid != pid_) return;  // it was reaped
    pid_ = 0;
    // One start at a time takes a spare, and until it knows whether that has begun.
    for (auto& place : places_) place.is_known = place.newest != pid;
}

void Spare::was_reaped(pid_t pid) {
    if (pid == pid_) pid_ = 0;
    for (auto& place : places_)
        if (place.newest == pid) place.newest = 0;
}

void Spare::refuse_orders() const {
    for (const auto& place : places_) {
        if (place.newest != 0) continue;  // it may be just about to take its own
        const int socket = place.orders.get();
        const auto now = base::Deadline::now();
        for (auto ready = os::wait_readable(socket, now); ready && *ready; ready = os::wait_readable(socket, now)) {
            std::byte kind;  // the rest of the message, and what came with it, is let go of
            const auto order = os::receive_message(socket, {&kind, 1});
            const bool received =
                order ? order->size > 0
                      : order.error() == std::errc::message_size || order.error() == std::errc::too_many_files_open;
            if (!received) break;
        }
    }
}

std::optional<Spare::Made> Spare::make(int control, Packet& packet, const std::function<void()>& forget_server) {
    if (!would_do_) would_do_ = !has_signal_handlers();
    const auto place = std::ranges::find_if(places_, &Place::is_free);
    if (pid_ != 0 || place == places_.end() || !*would_do_) return std::nullopt;
    try {
        if (!rehearsal_) rehearsal_ = std::make_unique<Rehearsal>(packet);
    } catch (const std::exception&) {
        return std::nullopt;  // memory is too short for it
    }
    if (!server_) {
        auto pidfd = os::open_pidfd(::getpid());
        if (!pidfd) return std::nullopt;
        server_ = *std::move(pidfd);
    }
    const char* missing = nullptr;
    auto ties = make_ties(missing);
    if (!ties) return std::nullopt;
    wire::Offer offer{.number = ++number_,
                      .place = static_cast<std::uint64_t>(place - places_.begin()),
                      .inheritance = Inheritance::of(0)};
    // What sits in a buffer now would be written by the process as well.
    std::fflush(nullptr);
    offer.pid = ::fork();
    if (offer.pid < 0) return std::nullopt;
    if (offer.pid == 0) {
        Ends ends{std::move(place->orders), std::move(ties->lifeline.bound), std::move(ties->report),
                  std::move(server_)};
        forget_server();
        *ties = {};
        wait_for_order(std::move(ends), offer.number, packet, *rehearsal_);
    }
    pid_ = place->newest = offer.pid;
    place->is_known = false;
    std::vector<int> owners{ties->status.get(), ties->lifeline.owner.get(), ties->report.get()};
    const auto pidfd = os::open_pidfd(offer.pid);
    if (pidfd) owners.push_back(pidfd->get());
    // Where it cannot be sent, or nobody takes it from there, the spare ends by its lifeline.
    static_cast<void>(send(control, offer, owners));
    return Made{offer.pid, std::move(ties->status_end)};
}

bool Spare::kill() const { return pid_ != 0 && ::kill(pid_, SIGKILL) == 0; }

}  // namespace mp::process
