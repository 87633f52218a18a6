#include <multiprocessing/managers.hpp>

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include <multiprocessing/listener.hpp>
#include <multiprocessing/process.hpp>

#include "channel/raise.hpp"
#include "manager/link.hpp"
#include "manager/server.hpp"
#include "net/address.hpp"
#include "net/stream.hpp"
#include "os/own_pid.hpp"
#include "serial/exception_record.hpp"

namespace mp {

namespace {

/// What the server is told.
struct Start {
    std::string address;
    std::string key;
    std::uint64_t id = 0;
    std::optional<detail::EntryId> initializer;
    std::vector<std::byte> initializer_state;
    std::vector<serial::Handle> initializer_handles;
};

/// What it tells its owner once it listens.
struct Started {
    std::string address;
    std::vector<std::byte> error;
};

void run_initializer(const Start& start) {
    if (!start.initializer) return;
    const auto& entry = detail::resolve<detail::PoolEntry>(*start.initializer);
    serial::Reader state(start.initializer_state, start.initializer_handles);
    detail::PoolCall call{.reader = &state};
    entry.code(call);
}

// The process of a server.
void serve_in_process(Start start, Connection<Started, void> report, Connection<void, int> control) {
    // Ctrl-C goes to the whole terminal's group; the owner decides when its server ends.
    ::signal(SIGINT, SIG_IGN);
    std::optional<Listener> listener;
    try {
        run_initializer(start);
        listener.emplace(start.address, ListenerOptions{.authkey = start.key});
    } catch (...) {
        report.send({{}, serial::encode_exception(serial::capture_exception(std::current_exception()))});
        return;
    }
    manager::Server server(start.id, listener->address());
    report.send({listener->address(), {}});
    report.close();
    if (server.serve(*listener, control)) return;
    // Somebody's code runs in a thread that nothing can stop: what it uses must not be taken away from under it.
    std::cout.flush();
    std::fflush(nullptr);
    std::_Exit(0);
}

std::string random_key() {
    std::string key(32, '\0');
    if (const auto filled = net::fill_random(std::as_writable_bytes(std::span(key))); !filled)
        channel::raise(filled.error(), "cannot make a key for a manager");
    return key;
}

}  // namespace

/// The server's process, as its owner holds it.
struct Manager::Owned {
    Process process;
    Connection<int, void> control;
    const pid_t owner = os::own_pid();

    /// How it ended; empty when it has not, as far as one can see. A busy machine takes its time to tell.
    std::string how_it_ended() {
        return process.join_for(std::chrono::seconds(5)) ? process.exit_status()->to_string() : std::string();
    }
    void end() {
        if (owner != os::own_pid()) return;  // a fork of the owner has no say in it
        try {
            // A word, and not the pipe's end alone: a child that the host forked may have this end as well.
            if (!control.closed()) (void)control.try_send(1);
        } catch (const Error&) {
            // The server has ended by itself.
        }
        control.close();
        if (process.join_for(std::chrono::seconds(5))) return;
        process.kill();
        process.join();
    }
    ~Owned() { end(); }
};

Manager::Manager() : Manager(ManagerOptions{}) {}

Manager::Manager(ManagerOptions options) {
    Start start{options.address, options.authkey ? *options.authkey : random_key(), 0, {}, {}, {}};
    if (const auto filled = net::fill_random(std::as_writable_bytes(std::span(&start.id, 1))); !filled)
        channel::raise(filled.error(), "cannot make a manager");
    if (!start.address.empty()) (void)net::parse_address(start.address);
    if (options.initializer) {
        start.initializer = detail::identify(*options.initializer.entry());
        const auto& state = options.initializer.state();
        start.initializer_state.assign(state.bytes().begin(), state.bytes().end());
        start.initializer_handles.assign(state.handles().begin(), state.handles().end());
    }
    auto [reported, report] = Pipe<void, Started>();
    auto [control, controlled] = Pipe<int, void>();
    const auto id = start.id;
    const auto key = start.key;
    Process process({.name = options.name, .daemon = false, .start_method = StartMethod::forkserver}, serve_in_process,
                    std::move(start), report, controlled);
    process.start();
    auto owned = std::make_shared<Owned>(std::move(process), std::move(control));
    report.close();
    controlled.close();
    Started started;
    try {
        started = reported.recv();
        if (started.error.empty()) link_ = detail::ManagerLink::open(id, started.address, key);
    } catch (const Closed&) {
        const std::string end = owned->how_it_ended();
        if (end.empty()) throw;
        throw Error("the server of a manager ended before it was ready: " + end);
    }
    if (!started.error.empty())
        std::rethrow_exception(
            serial::to_exception(serial::decode_exception(started.error), {.function = options.name}));
    link_->tell_end([watched = std::weak_ptr<Owned>(owned)] {
        const auto there = watched.lock();
        return there ? there->how_it_ended() : std::string();
    });
    owned_ = std::move(owned);
    authkey_ = key;
}

Manager::Manager(std::shared_ptr<detail::ManagerLink> link, std::string authkey)
    : link_(std::move(link)), authkey_(std::move(authkey)) {}

Manager Manager::connect(const std::string& address, const std::string& authkey) {
    return Manager(detail::ManagerLink::open(0, address, authkey), authkey);
}

Manager::Manager(Manager&& other) noexcept = default;
Manager& Manager::operator=(Manager&& other) noexcept = default;
Manager::~Manager() = default;

std::shared_ptr<detail::ManagerLink> Manager::link() const {
    if (!link_) throw Closed("this Manager was shut down");
    return link_->here();
}

const std::string& Manager::address() const {
    if (!link_) throw Closed("this Manager was shut down");
    return link_->address();
}
const std::string& Manager::authkey() const { return authkey_; }

std::optional<int> Manager::exitcode() const { return owned_ ? owned_->process.exitcode() : std::nullopt; }
std::optional<pid_t> Manager::pid() const { return owned_ ? owned_->process.pid() : std::nullopt; }

void Manager::shutdown() {
    if (owned_) owned_->end();
    link_.reset();
}

}  // namespace mp
