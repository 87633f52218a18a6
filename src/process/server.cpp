#include "process/server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <set>
#include <unordered_map>
#include <vector>

#include "os/children.hpp"
#include "os/mapping.hpp"
#include "os/modules.hpp"
#include "os/pidfd.hpp"
#include "os/retry.hpp"
#include "os/socket.hpp"
#include "os/threads.hpp"
#include "process/boot.hpp"
#include "process/execute.hpp"
#include "process/wire.hpp"

namespace mp::process {

namespace {

// A packet holds the fixed part and, up to max_inline_boot, the encoded Boot.
struct Packet {
    alignas(8) std::array<std::byte, wire::max_packet> bytes;
    std::size_t size = 0;
    std::vector<os::UniqueFd> descriptors;

    wire::Kind kind() const {
        wire::Kind value{};
        if (size >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    template <class T>
    bool read(T& value) const {
        if (size < sizeof value) return false;
        std::memcpy(&value, bytes.data(), sizeof value);
        return true;
    }
};

// Not cleared: that would touch more pages than all the rest of a request.
std::unique_ptr<Packet> new_packet() { return std::make_unique_for_overwrite<Packet>(); }

template <class T>
base::Expected<void> send(int socket, const T& value, std::span<const int> descriptors = {}) {
    return os::send_message(socket, std::as_bytes(std::span(&value, 1)), descriptors);
}

// What a Spawn brings: its descriptors by role, and the encoded Boot.
struct Order {
    wire::Spawn spawn;
    os::UniqueFd status;  // to the server only
    BootFds fds;
    std::vector<std::byte> boot;
};

// Takes an Order apart; nothing when it is not well-formed.
std::optional<Order> take_order(const Packet& packet, std::vector<os::UniqueFd> handles, bool with_status) {
    Order order;
    if (!packet.read(order.spawn)) return std::nullopt;
    auto flag = [&](std::uint32_t bit) { return (order.spawn.flags & bit) != 0; };
    std::size_t next = 0;
    auto& given = const_cast<Packet&>(packet).descriptors;
    auto take = [&](bool present) {
        return present && next < given.size() ? std::move(given[next++]) : os::UniqueFd();
    };
    order.status = take(with_status);
    order.fds.lifeline = take(true);
    order.fds.report = take(true);
    order.fds.directory = take(true);
    order.fds.output = take(flag(wire::Spawn::has_output));
    order.fds.error = take(flag(wire::Spawn::has_error));
    const os::UniqueFd file = take(flag(wire::Spawn::boot_in_file));
    for (; next < given.size(); ++next) handles.push_back(std::move(given[next]));
    if (!order.fds.directory || handles.size() != order.spawn.handle_count) return std::nullopt;
    for (auto& handle : handles) order.fds.handles.emplace_back(handle.release());

    order.boot.resize(order.spawn.boot_size);
    if (file) {
        std::size_t done = 0;
        while (done < order.boot.size()) {
            const ssize_t count = os::retry([&] {
                return ::pread(file.get(), order.boot.data() + done, order.boot.size() - done,
                               static_cast<off_t>(done));
            });
            if (count <= 0) return std::nullopt;
            done += static_cast<std::size_t>(count);
        }
    } else {
        if (packet.size != sizeof order.spawn + order.boot.size()) return std::nullopt;
        std::memcpy(order.boot.data(), packet.bytes.data() + sizeof order.spawn, order.boot.size());
    }
    return order;
}

[[noreturn]] void run_order(Order order, bool is_snapshot) {
    Boot boot;
    {
        serial::Reader reader(order.boot);
        boot = decode_boot(reader);
    }
    run_booted(std::move(boot), std::move(order.fds), is_snapshot);
}

class Server {
  public:
    Server(os::UniqueFd control, pid_t owner, bool is_snapshot, bool must_execute)
        : control_(std::move(control)), is_snapshot_(is_snapshot), must_execute_(must_execute) {
        // It must survive whatever ends its owner - Ctrl-C, a hang-up, a signal to the whole group - to clean up.
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        // A disposition of "ignore" for SIGCHLD, inherited from the owner, would lose every status.
        struct sigaction standard {};
        standard.sa_handler = SIG_DFL;
        ::sigaction(SIGCHLD, &standard, nullptr);
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        ::prctl(PR_SET_NAME, is_snapshot ? "mp-snapshot" : "mp-forkserver");
        sigset_t child;
        ::sigemptyset(&child);
        ::sigaddset(&child, SIGCHLD);
        child_signals_ = os::clear_of_streams(os::UniqueFd(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK)));
        if (auto pidfd = os::open_pidfd(owner)) owner_ = std::move(*pidfd);
        // Found out once here instead of by each child: it takes a look into /proc.
        static_cast<void>(os::module_at(reinterpret_cast<const void*>(&serve)));
        // The streams may be pipes whose readers wait for their end. Each process gets those of its caller at its start.
        if (!is_snapshot) let_go_of_streams();
    }

    void run() {
        std::array<pollfd, 3> watched{pollfd{control_.get(), POLLIN, 0}, pollfd{child_signals_.get(), POLLIN, 0},
                                      pollfd{owner_.get(), POLLIN, 0}};
        // Ends with the owner: its process, or its end of the socket, is gone.
        while (true) {
            if (os::retry([&] { return ::poll(watched.data(), watched.size(), -1); }) < 0) break;
            if (watched[1].revents) {
                signalfd_siginfo info;
                while (::read(child_signals_.get(), &info, sizeof info) > 0) {}
                const bool some_left = reap(WNOHANG);
                if (served_its_only_order_ && !some_left) return;
            }
            if (watched[2].revents) break;
            if (watched[0].revents && !handle_request()) break;
        }
        bury();
    }

  private:
    struct Started {
        os::UniqueFd status;
        os::UniqueFd order;  // method spawn: the socket that its order waits in
    };

    bool handle_request() {
        auto packet = new_packet();
        auto received = os::receive_message(control_.get(), packet->bytes);
        if (!received) {
            // Out of descriptors: the request is lost, and the owner is told when it has sent all of it.
            if (received.error().value() != EMFILE) return false;
            packet->size = sizeof(wire::Kind);
            if (packet->kind() == wire::Kind::spawn) return answer_failure(EMFILE);
            handles_lost_ = true;
            return true;
        }
        if (received->size == 0) return false;
        packet->size = received->size;
        packet->descriptors = std::move(received->descriptors);
        switch (packet->kind()) {
            case wire::Kind::handles:
                for (auto& fd : packet->descriptors) pending_handles_.push_back(std::move(fd));
                return true;
            case wire::Kind::forget:
                pending_handles_.clear();
                handles_lost_ = false;
                return true;
            case wire::Kind::spawn: return handles_lost_ ? answer_failure(EMFILE) : start(std::move(packet));
            case wire::Kind::signal: {
                wire::Signal request;
                if (packet->read(request) && started_.count(request.pid)) ::kill(request.pid, request.signal);
                return true;
            }
            default: return false;
        }
    }

    bool answer_failure(int error) {
        pending_handles_.clear();
        handles_lost_ = false;
        return bool(send(control_.get(), wire::Spawned{.error = error}));
    }

    bool start(std::unique_ptr<Packet> packet) {
        auto order = take_order(*packet, std::exchange(pending_handles_, {}), true);
        if (!order) return answer_failure(EPROTO);
        Started entry;
        pid_t pid = 0;
        if (must_execute_ || (order->spawn.flags & wire::Spawn::execute)) {
            auto executed = execute_order(*order);
            if (!executed) return answer_failure(executed.error().value());
            pid = executed->first;
            entry.order = std::move(executed->second);
        } else {
            // What sits in a buffer now would be written once by every child.
            std::fflush(nullptr);
            pid = ::fork();
            if (pid < 0) return answer_failure(errno);
            if (pid == 0) {
                forget_server_state();
                order->status.reset();
                packet.reset();
                run_order(std::move(*order), is_snapshot_);
            }
        }
        entry.status = std::move(order->status);
        const bool only = (order->spawn.flags & wire::Spawn::only) != 0;
        order.reset();
        started_.emplace(pid, std::move(entry));
        // Not reaped yet, so the number still means this process.
        auto pidfd = os::open_pidfd(pid);
        const wire::Spawned reply{.pid = pid};
        std::vector<int> descriptors;
        if (pidfd) descriptors.push_back(pidfd->get());
        const bool sent = bool(send(control_.get(), reply, descriptors));
        if (only) {
            pidfd = os::UniqueFd();
            let_go_of_the_owners();
            served_its_only_order_ = true;
        }
        return sent;
    }

    static void let_go_of_streams() {
        std::cout.flush();
        std::fflush(nullptr);
        const os::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
        if (!null) return;
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), stream);
    }

    // Of a snapshot that has had its child: what it inherited would keep pipes and sockets open that the owner and the
    // child have closed.
    void let_go_of_the_owners() {
        std::set<unsigned> own;
        for (const auto* fd : {&control_, &owner_, &child_signals_})
            if (*fd) own.insert(static_cast<unsigned>(fd->get()));
        for (const auto& [pid, entry] : started_) own.insert(static_cast<unsigned>(entry.status.get()));
        unsigned from = 0;
        for (const unsigned fd : own) {
            if (fd > from) ::close_range(from, fd - 1, 0);
            from = fd + 1;
        }
        ::close_range(from, ~0U, 0);
    }

    // Method spawn: a copy of the program gets the same order through a socket of its own.
    static base::Expected<std::pair<pid_t, os::UniqueFd>> execute_order(Order& order) {
        auto ends = os::socket_pair();
        if (!ends) return ends.error();
        auto pid = execute_copy(ends->second.get());
        if (!pid) return pid.error();
        ends->second.reset();
        wire::Spawn spawn = order.spawn;
        spawn.kind = wire::Kind::run;
        spawn.flags |= wire::Spawn::boot_in_file;
        auto file = os::memory_file("multiprocessing boot", order.boot.size());
        if (!file) return file.error();
        if (::pwrite(file->get(), order.boot.data(), order.boot.size(), 0) !=
            static_cast<ssize_t>(order.boot.size()))
            return base::error_of(ENOMEM);
        std::vector<int> fds{order.fds.lifeline.get(), order.fds.report.get(), order.fds.directory.get()};
        if (order.fds.output) fds.push_back(order.fds.output.get());
        if (order.fds.error) fds.push_back(order.fds.error.get());
        fds.push_back(file->get());
        std::vector<int> handles;
        for (const auto& handle : order.fds.handles) handles.push_back(handle.fd());
        const wire::Kind more = wire::Kind::handles;
        constexpr std::size_t batch = 200;
        std::size_t sent = 0;
        for (; handles.size() - sent > batch; sent += batch)
            if (auto done = send(ends->first.get(), more, std::span(handles).subspan(sent, batch)); !done)
                return done.error();
        fds.insert(fds.end(), handles.begin() + static_cast<std::ptrdiff_t>(sent), handles.end());
        if (auto done = send(ends->first.get(), spawn, fds); !done) return done.error();
        return std::pair(*pid, std::move(ends->first));
    }

    void forget_server_state() {
        control_.reset();
        owner_.reset();
        child_signals_.reset();
        started_.clear();
    }

    // Collects ended children; with flags 0 waits for one. False when there is none left.
    bool reap(int flags) {
        while (true) {
            int how = 0;
            rusage usage{};
            const pid_t pid = os::retry([&] { return ::wait4(-1, &how, flags, &usage); });
            if (pid < 0) return false;
            if (pid == 0) return true;
            // Orphans that this server adopted are nobody's: only their remains are removed.
            if (const auto found = started_.find(pid); found != started_.end()) {
                report(found->second.status.get(), how, usage);
                started_.erase(found);
            }
            if (flags == 0) return true;
        }
    }

    static void report(int pipe, int how, const rusage& usage) {
        wire::Status status;
        status.code = WIFEXITED(how) ? CLD_EXITED : WCOREDUMP(how) ? CLD_DUMPED : CLD_KILLED;
        status.status = WIFEXITED(how) ? WEXITSTATUS(how) : WTERMSIG(how);
        status.user_us = usage.ru_utime.tv_sec * 1'000'000 + usage.ru_utime.tv_usec;
        status.system_us = usage.ru_stime.tv_sec * 1'000'000 + usage.ru_stime.tv_usec;
        status.max_rss = usage.ru_maxrss * 1024;
        const std::array both{status, status};
        // SIGPIPE is blocked; a status that nobody wants any more is lost without harm.
        static_cast<void>(!::write(pipe, both.data(), sizeof both));
    }

    // Kills and reaps until nothing is left. A process that dies here leaves its children to this subreaper, so each
    // round sees the next generation, whatever session or group it put itself into.
    void bury() {
        do {
            for (const pid_t pid : os::children()) ::kill(pid, SIGKILL);
        } while (reap(0));
    }

    os::UniqueFd control_;
    os::UniqueFd owner_;
    os::UniqueFd child_signals_;
    bool is_snapshot_;
    bool must_execute_;
    bool served_its_only_order_ = false;
    std::vector<os::UniqueFd> pending_handles_;
    bool handles_lost_ = false;
    std::unordered_map<pid_t, Started> started_;
};

// The one order of a copy that was executed for it.
[[noreturn]] void run_only_order(int socket, const Packet& first) {
    std::vector<os::UniqueFd> handles;
    auto packet = new_packet();
    packet->bytes = first.bytes;
    packet->size = first.size;
    packet->descriptors = std::move(const_cast<Packet&>(first).descriptors);
    while (packet->kind() == wire::Kind::handles) {
        for (auto& fd : packet->descriptors) handles.push_back(std::move(fd));
        auto received = os::receive_message(socket, packet->bytes);
        if (!received || received->size == 0) std::_Exit(255);
        packet->size = received->size;
        packet->descriptors = std::move(received->descriptors);
    }
    auto order = take_order(*packet, std::move(handles), false);
    ::close(socket);
    if (!order) std::_Exit(255);
    packet.reset();
    run_order(std::move(*order), false);
}

}  // namespace

void serve(os::UniqueFd control, pid_t owner, bool is_snapshot, bool unsafe_to_fork) {
    Server(std::move(control), owner, is_snapshot, unsafe_to_fork).run();
    // Not exit(): the handlers and objects of this copy belong to the processes that were forked from it.
    std::_Exit(0);
}

int run_marked_copy(Marker marker, int, char**) {
    close_program_file();
    os::UniqueFd control(marker.socket);
    ::fcntl(control.get(), F_SETFD, FD_CLOEXEC);
    auto packet = new_packet();
    auto received = os::receive_message(control.get(), packet->bytes);
    if (!received || received->size == 0) return 0;
    packet->size = received->size;
    packet->descriptors = std::move(received->descriptors);
    if (packet->kind() != wire::Kind::serve) run_only_order(control.release(), *packet);

    wire::Serve request;
    if (!packet->read(request)) return 255;
    // Threads of static initialisers do not follow into the server, but the locks they hold do.
    const bool unsafe_to_fork = !os::other_threads().empty();
    // The server detaches itself from the owner, whose own waits for children must never see it.
    const pid_t detached = ::fork();
    if (detached < 0) static_cast<void>(send(control.get(), wire::Ready{.error = errno}));
    if (detached != 0) std::_Exit(0);
    packet.reset();
    const wire::Ready ready{.server = ::getpid()};
    if (!send(control.get(), ready)) std::_Exit(0);
    serve(std::move(control), request.owner, false, unsafe_to_fork);
}

}  // namespace mp::process
