#include <multiprocessing/listener.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <list>

#include "base/deadline.hpp"
#include "channel/raise.hpp"
#include "channel/stream_end.hpp"
#include "net/address.hpp"
#include "net/handshake.hpp"
#include "net/stream.hpp"
#include "os/own_pid.hpp"
#include "os/retry.hpp"

namespace mp {

using base::Deadline;
using net::Handshake;

namespace {

constexpr std::size_t most_waiting = 64;

net::Nonce fresh_nonce() {
    net::Nonce nonce;
    if (const auto filled = net::fill_random(nonce); !filled)
        channel::raise(filled.error(), "cannot get random bytes for a handshake");
    return nonce;
}

/// Reads and sends as far as it goes now. False when the other side is gone. It may have left after all that was
/// needed.
bool advance(int socket, Handshake& handshake) {
    bool hears_us = true;
    for (;;) {
        if (const auto wanted = handshake.wanted(); !wanted.empty()) {
            const auto got = net::receive_some(socket, wanted);
            if (got && *got == 0) return false;
            if (!got && got.error().value() != EAGAIN) return false;
            if (got) {
                handshake.received(*got);
                continue;
            }
        }
        const auto out = handshake.outgoing();
        if (out.empty() || !hears_us) return hears_us;
        const auto sent = net::send_some(socket, out, {}, {});
        if (sent)
            handshake.sent(*sent);
        else if (sent.error().value() == EAGAIN)
            return true;
        else
            hears_us = false;
    }
}

std::string random_name() {
    std::byte bytes[16];
    if (const auto filled = net::fill_random(bytes); !filled) channel::raise(filled.error(), "cannot name a socket");
    std::string name = "multiprocessing-";
    for (const std::byte byte : bytes) {
        for (const int half : {std::to_integer<int>(byte >> 4), std::to_integer<int>(byte & std::byte{15})})
            name += "0123456789abcdef"[half];
    }
    return name;
}

}  // namespace

struct Listener::Core {
    struct Pending {
        os::UniqueFd socket;
        Handshake handshake;
        Deadline limit;
    };
    struct Ready {
        os::UniqueFd socket;
        std::string from;
    };

    net::Address where;
    std::string address, last_accepted;
    ListenerOptions options;
    os::UniqueFd socket, epoll, bell;
    std::list<Pending> pending;  // oldest first
    std::deque<Ready> ready;
    std::deque<Handshake::State> refused;  // clients that had no right to come in, to be told by accept()
    bool rung = false;
    // The socket's file: only its creator removes it, and only while it is still this one.
    pid_t creator = os::own_pid();
    dev_t device = 0;
    ino_t file = 0;

    ~Core() { close(); }

    void close() {
        if (!socket) return;
        struct stat now{};
        if (file != 0 && creator == os::own_pid() && ::lstat(where.name.c_str(), &now) == 0 && now.st_dev == device &&
            now.st_ino == file)
            ::unlink(where.name.c_str());
        pending.clear();
        ready.clear();
        refused.clear();
        epoll.reset();
        bell.reset();
        socket.reset();
    }

    bool watch(int fd, std::uint32_t events) {
        epoll_event event{};
        event.events = events;
        return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
    }

    void open(const std::string& text) {
        where = text.empty() ? net::Address{net::Address::Family::unix_abstract, random_name(), 0}
                             : net::parse_address(text);
        const std::string operation = "cannot listen at \"" + where.to_string() + '"';
        const auto addresses = net::socket_addresses(where, true);
        auto listening = net::listen_at(where, addresses.front(), options.backlog, options.permissions);
        if (!listening) channel::raise(listening.error(), operation);
        socket = std::move(*listening);
        if (where.family == net::Address::Family::unix_path) {
            struct stat made{};
            if (::lstat(where.name.c_str(), &made) == 0) {
                device = made.st_dev;
                file = made.st_ino;
            }
        }
        const auto own = net::own_address(socket.get());
        address = where.family == net::Address::Family::tcp && own ? *own : where.to_string();
        epoll = os::clear_of_streams(os::UniqueFd(::epoll_create1(EPOLL_CLOEXEC)));
        bell = os::clear_of_streams(os::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
        if (!epoll || !bell || !watch(socket.get(), EPOLLIN) || !watch(bell.get(), EPOLLIN))
            channel::raise(base::last_error(), operation);
    }

    bool something() const { return !ready.empty() || !refused.empty(); }

    /// Keeps fileno() readable exactly while accept() has something.
    void ring() {
        std::uint64_t count = 1;
        if (something() == rung) return;
        if (rung)
            (void)os::retry([&] { return ::read(bell.get(), &count, sizeof count); });
        else
            (void)os::retry([&] { return ::write(bell.get(), &count, sizeof count); });
        rung = !rung;
    }

    void take_newcomers() {
        while (ready.size() + refused.size() < most_waiting) {
            auto next = net::accept_from(socket.get());
            if (!next) {
                if (next.error().value() == EAGAIN) return;
                channel::raise(next.error(), "cannot accept a client at \"" + address + '"');
            }
            if (pending.size() >= most_waiting) pending.pop_front();
            pending.push_back({std::move(*next), Handshake(Handshake::Role::server, options.authkey, fresh_nonce()),
                               Deadline::after(options.handshake_timeout)});
            if (!watch(pending.back().socket.get(), EPOLLIN | EPOLLRDHUP)) pending.pop_back();
        }
    }

    /// Everything that can be done without waiting.
    void progress() {
        take_newcomers();
        for (auto it = pending.begin(); it != pending.end();) {
            const bool there = advance(it->socket.get(), it->handshake);
            const auto state = it->handshake.state();
            if (state == Handshake::State::done) {
                ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, it->socket.get(), nullptr);
                std::string from = net::other_address(it->socket.get());
                ready.push_back({std::move(it->socket), std::move(from)});
            } else if (it->handshake.failed()) {
                if (state != Handshake::State::not_ours) refused.push_back(state);
            } else if (there && !it->limit.expired()) {
                ++it;
                continue;
            }
            it = pending.erase(it);
        }
        ring();
    }

    /// True when accept() has something; false at the deadline.
    bool wait(Deadline deadline) {
        for (;;) {
            progress();
            if (something()) return true;
            if (deadline.expired()) return false;
            auto until = deadline;
            for (const auto& one : pending) until = earlier(until, one.limit);
            if (const auto woken = net::wait_readable(epoll.get(), until); !woken)
                channel::raise(woken.error(), "cannot wait for a client at \"" + address + '"');
        }
    }
};

Listener::Listener(const std::string& address, ListenerOptions options) : core_(std::make_unique<Core>()) {
    core_->options = std::move(options);
    core_->open(address);
}
Listener::Listener(Listener&& other) noexcept = default;
Listener& Listener::operator=(Listener&& other) noexcept = default;
Listener::~Listener() = default;

Listener::Core& Listener::open_core() const {
    if (!core_ || !core_->socket) throw Closed("this Listener is closed");
    return *core_;
}

std::shared_ptr<detail::StreamEnd> Listener::take(detail::WaitLimit limit) {
    Core& core = open_core();
    if (!core.wait(Deadline::after(limit))) return nullptr;
    if (!core.refused.empty()) {
        const auto state = core.refused.front();
        core.refused.pop_front();
        core.ring();
        throw AuthenticationError("refused a client at \"" + core.address + "\": " + net::reason(state, true));
    }
    auto next = std::move(core.ready.front());
    core.ready.pop_front();
    core.ring();
    core.last_accepted = std::move(next.from);
    return std::make_shared<detail::StreamEnd>(std::move(next.socket));
}

bool Listener::wait_acceptable(detail::WaitLimit limit) { return open_core().wait(Deadline::after(limit)); }

int Listener::fileno() const { return open_core().epoll.get(); }
const std::string& Listener::address() const {
    if (!core_) throw Closed("this Listener is closed");
    return core_->address;
}
const std::string& Listener::last_accepted() const {
    if (!core_) throw Closed("this Listener is closed");
    return core_->last_accepted;
}

void Listener::close() {
    if (core_) core_->close();
}

bool Listener::closed() const noexcept { return !core_ || !core_->socket; }

namespace detail {

std::shared_ptr<StreamEnd> connect_stream(const std::string& address, const ClientOptions& options) {
    const auto deadline = Deadline::after(options.timeout);
    const auto where = net::parse_address(address);
    const std::string operation = "cannot connect to \"" + where.to_string() + '"';
    os::UniqueFd socket;
    std::error_code error;
    for (const auto& one : net::socket_addresses(where, false)) {
        auto connected = net::connect_to(one, deadline);
        if (connected) {
            socket = std::move(*connected);
            break;
        }
        if (!error) error = connected.error();
    }
    if (!socket) channel::raise(error, operation);
    Handshake handshake(Handshake::Role::client, options.authkey, fresh_nonce());
    const auto hung_up = [&] {
        return Closed(operation + ": the listener closed the connection during the handshake");
    };
    if (!options.authkey) {
        // What the listener may have to say is read when something is received.
        while (!handshake.outgoing().empty()) {
            const auto sent = net::send_some(socket.get(), handshake.outgoing(), {}, {});
            if (sent) {
                handshake.sent(*sent);
                continue;
            }
            if (sent.error().value() == EPIPE) throw hung_up();
            if (sent.error().value() != EAGAIN) channel::raise(sent.error(), operation);
            const auto room = net::wait_writable(socket.get(), deadline);
            if (!room) channel::raise(room.error(), operation);
            if (!*room) channel::raise(base::error_of(ETIMEDOUT), operation);
        }
        return std::make_shared<StreamEnd>(std::move(socket), std::move(handshake));
    }
    for (;;) {
        const bool there = advance(socket.get(), handshake);
        if (handshake.failed()) throw AuthenticationError(operation + ": " + net::reason(handshake.state(), false));
        if (handshake.state() == Handshake::State::done) return std::make_shared<StreamEnd>(std::move(socket));
        if (!there) throw hung_up();
        const auto ready = net::wait_readable(socket.get(), deadline);
        if (!ready) channel::raise(ready.error(), operation);
        if (!*ready) channel::raise(base::error_of(ETIMEDOUT), operation + " (no answer to the handshake)");
    }
}

}  // namespace detail

}  // namespace mp
