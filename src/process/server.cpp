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
#include <iostream>
#include <set>
#include <unordered_map>
#include <vector>

#include "os/children.hpp"
#include "os/modules.hpp"
#include "os/pidfd.hpp"
#include "os/retry.hpp"
#include "os/threads.hpp"
#include "process/boot.hpp"
#include "process/execute.hpp"
#include "process/order.hpp"
#include "process/spare.hpp"
#include "process/wire.hpp"

namespace mp::process {

namespace {

class Server {
  public:
    Server(os::UniqueFd control, pid_t owner, bool is_snapshot, bool must_execute, OrderSockets<os::UniqueFd> orders)
        : control_(std::move(control)),
          is_snapshot_(is_snapshot),
          must_execute_(must_execute),
          spare_(std::move(orders)) {
        // It must survive whatever ends its owner - Ctrl-C, a hang-up, a signal to the whole group - to clean up.
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        // A disposition of "ignore" for SIGCHLD, inherited from the owner, would lose every status.
        struct sigaction standard{};
        standard.sa_handler = SIG_DFL;
        ::sigaction(SIGCHLD, &standard, nullptr);
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        ::prctl(PR_SET_NAME, is_snapshot ? "mp-snapshot" : "mp-forkserver");
        signals_ = os::clear_of_streams(os::UniqueFd(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK)));
        if (!signals_) no_signals_ = errno;
        if (auto pidfd = os::open_pidfd(owner)) owner_ = std::move(*pidfd);
        // Found out once here instead of by each child: it takes a look into /proc.
        static_cast<void>(os::module_at(reinterpret_cast<const void*>(&serve)));
        // The streams may be pipes whose readers wait for their end. Each process gets those of its caller at its
        // start.
        if (is_snapshot) return;
        let_go_of_streams();
        prepare_to_boot(false);
    }

    /// Tells the owner that it serves, or that it cannot: without its signals it would never hear of an end. What it
    /// needs for good it has by then.
    bool answer() {
        const wire::Ready ready = signals_ ? wire::Ready{.server = ::getpid()} : wire::Ready{.error = no_signals_};
        return send(control_.get(), ready) && signals_;
    }

    void run() {
        std::array<pollfd, 3> watched{pollfd{control_.get(), POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0},
                                      pollfd{owner_.get(), POLLIN, 0}};
        // Ends with the owner: its process, or its end of the socket, is gone.
        while (true) {
            const int patience = spare_wish_ == Wish::when_idle ? idle_ms : -1;
            const int ready = os::retry([&] { return ::poll(watched.data(), watched.size(), patience); });
            if (ready < 0) break;
            if (ready == 0) spare_wish_ = Wish::at_once;
            if (watched[1].revents) {
                drain_signals();
                const bool some_left = reap(WNOHANG);
                if (served_its_only_order_ && !some_left) return;
            }
            if (watched[2].revents) break;
            if (watched[0].revents && !handle_request()) break;
            if (spare_wish_ == Wish::at_once) make_spare();
        }
        bury();
    }

  private:
    // When the next spare is to be made. One for each start: what ends a spare would end the next one, too.
    enum class Wish { none, at_once, when_idle };
    static constexpr int idle_ms = 10;

    struct Started {
        os::UniqueFd status;
        os::UniqueFd order;  // method spawn: the socket that its order waits in
    };

    // Only that of children ending says anything to a server, and that is looked at whatever the signal.
    void drain_signals() {
        signalfd_siginfo info;
        while (::read(signals_.get(), &info, sizeof info) > 0) {
        }
    }

    bool handle_request() {
        const bool go_on = handle(*packet_);
        packet_->descriptors.clear();
        return go_on;
    }

    bool handle(Packet& packet) {
        const auto received = packet.receive(control_.get());
        if (!received) {
            // Out of descriptors: the request is lost, and the owner is told when it has sent all of it.
            if (received.error().value() != EMFILE) return false;
            packet.size = sizeof(wire::Kind);
            if (packet.kind() == wire::Kind::spawn) return answer_failure(EMFILE);
            handles_lost_ = true;
            return true;
        }
        if (packet.size == 0) return false;
        switch (packet.kind()) {
            case wire::Kind::handles:
                for (auto& fd : packet.descriptors) pending_handles_.push_back(std::move(fd));
                return true;
            case wire::Kind::forget:
                pending_handles_.clear();
                handles_lost_ = false;
                return true;
            case wire::Kind::spawn:
                return handles_lost_ ? answer_failure(EMFILE) : start(packet);
            case wire::Kind::signal: {
                wire::Signal request;
                if (packet.read(request) && started_.count(request.pid)) ::kill(request.pid, request.signal);
                return true;
            }
            case wire::Kind::taken: {
                wire::Taken taken;
                if (!packet.read(taken)) return false;
                spare_.was_taken(taken.pid);
                wish_for_a_spare(taken.pid);
                return true;
            }
            default:
                return false;
        }
    }

    bool answer_failure(int error) {
        pending_handles_.clear();
        handles_lost_ = false;
        return bool(send(control_.get(), wire::Spawned{.error = error}));
    }

    bool start(Packet& packet) {
        if (!is_snapshot_) {
            reap(WNOHANG);  // the owner may know of a spare's end before this server
            spare_.refuse_orders();
        }
        wire::Spawn request;
        if (packet.read(request) && (request.flags & wire::Spawn::or_spare) && spare_.pid() != 0) {
            pending_handles_.clear();
            return bool(send(control_.get(), wire::Spawned{}));
        }
        Started entry;
        auto order = take_order(packet, std::exchange(pending_handles_, {}), Receiver::server);
        if (!order) return answer_failure(EPROTO);
        const bool only = (order->spawn.flags & wire::Spawn::only) != 0;
        pid_t pid = 0;
        if (must_execute_ || (order->spawn.flags & wire::Spawn::execute)) {
            auto executed = execute_order(*order);
            // The spare may be the one process too many.
            if (!executed && end_spare()) executed = execute_order(*order);
            if (!executed) return answer_failure(executed.error().value());
            pid = executed->first;
            entry.order = std::move(executed->second);
        } else {
            // What sits in a buffer now would be written once by every child.
            std::fflush(nullptr);
            pid = ::fork();
            if (pid < 0 && end_spare()) pid = ::fork();
            if (pid < 0) return answer_failure(errno);
            if (pid == 0) {
                forget_server_state();
                order->status.reset();
                run_order(std::move(*order), is_snapshot_);
            }
            wish_for_a_spare(pid);
        }
        entry.status = std::move(order->status);
        order.reset();
        const bool sent = announce(pid, std::move(entry));
        if (only) {
            let_go_of_the_owners();
            served_its_only_order_ = true;
        }
        return sent;
    }

    // Who joins one process before the next is started is helped most by a spare made at once. A fork for later would
    // delay those who start several, one upon the other: as the last time, so the next. `newest`: the process that was
    // started.
    void wish_for_a_spare(pid_t newest) {
        if (is_snapshot_) return;
        const std::size_t others = started_.size() - started_.count(newest) - started_.count(spare_.pid());
        spare_wish_ = others == 0 && one_at_a_time_ ? Wish::at_once : Wish::when_idle;
        one_at_a_time_ = others == 0;
    }

    void make_spare() {
        if (spare_.pid() != 0) return;  // the wish stays: its owner may have let it go, and its end is on its way
        spare_wish_ = Wish::none;
        if (auto made = spare_.make(control_.get(), *packet_, [this] { forget_server_state(); }))
            started_.emplace(made->pid, Started{std::move(made->status), {}});
    }

    // False when there is none, or none any more.
    bool end_spare() {
        if (!spare_.kill()) return false;
        while (spare_.pid() != 0 && reap(0)) {
        }
        return true;
    }

    // Tells the owner.
    bool announce(pid_t pid, Started entry) {
        started_.emplace(pid, std::move(entry));
        // Not reaped yet, so the number still means this process.
        auto pidfd = os::open_pidfd(pid);
        const wire::Spawned reply{.pid = pid};
        std::vector<int> descriptors;
        if (pidfd) descriptors.push_back(pidfd->get());
        return bool(send(control_.get(), reply, descriptors));
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
        for (const auto* fd : {&control_, &owner_, &signals_})
            if (*fd) own.insert(static_cast<unsigned>(fd->get()));
        for (const auto& [pid, entry] : started_) own.insert(static_cast<unsigned>(entry.status.get()));
        unsigned from = 0;
        for (const unsigned fd : own) {
            if (fd > from) ::close_range(from, fd - 1, 0);
            from = fd + 1;
        }
        ::close_range(from, ~0U, 0);
    }

    void forget_server_state() {
        spare_.leave_server();
        control_.reset();
        owner_.reset();
        signals_.reset();
        started_.clear();
        pending_handles_.clear();
        packet_->descriptors.clear();
    }

    // Collects ended children; with flags 0 waits for one. False when there is none left.
    bool reap(int flags) {
        while (true) {
            int how = 0;
            rusage usage{};
            const pid_t pid = os::retry([&] { return ::wait4(-1, &how, flags, &usage); });
            if (pid < 0) return false;
            if (pid == 0) return true;
            spare_.was_reaped(pid);
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

    const std::unique_ptr<Packet> packet_ = new_packet();  // one for all requests: each page that a server touches is
                                                           // copied after each fork
    os::UniqueFd control_;
    os::UniqueFd owner_;
    os::UniqueFd signals_;
    int no_signals_ = 0;  // why there are none
    bool is_snapshot_;
    bool must_execute_;
    bool served_its_only_order_ = false;
    std::vector<os::UniqueFd> pending_handles_;
    bool handles_lost_ = false;
    std::unordered_map<pid_t, Started> started_;
    Spare spare_;
    Wish spare_wish_ = Wish::none;
    bool one_at_a_time_ = true;  // no process was started while the last but one was there
};

}  // namespace

void serve(os::UniqueFd control, pid_t owner, bool is_snapshot, bool unsafe_to_fork,
           OrderSockets<os::UniqueFd> orders) {
    Server server(std::move(control), owner, is_snapshot, unsafe_to_fork, std::move(orders));
    if (server.answer()) server.run();
    // Not exit(): the handlers and objects of this copy belong to the processes that were forked from it.
    std::_Exit(0);
}

int run_marked_copy(Marker marker, int, char**) {
    close_program_file();
    os::UniqueFd control(marker.socket);
    ::fcntl(control.get(), F_SETFD, FD_CLOEXEC);
    auto packet = new_packet();
    if (!packet->receive(control.get()) || packet->size == 0) return 0;
    if (packet->kind() != wire::Kind::serve) {
        Order order = receive_order(control.get(), *packet);
        control.reset();
        packet.reset();
        run_order(std::move(order), false);
    }

    wire::Serve request;
    if (!packet->read(request) || packet->descriptors.size() != 2) return 255;
    OrderSockets<os::UniqueFd> orders{std::move(packet->descriptors[0]), std::move(packet->descriptors[1])};
    // Threads of static initialisers do not follow into the server, but the locks they hold do.
    const bool unsafe_to_fork = !os::other_threads().empty();
    // The server detaches itself from the owner, whose own waits for children must never see it.
    const pid_t detached = ::fork();
    if (detached < 0) static_cast<void>(send(control.get(), wire::Ready{.error = errno}));
    if (detached != 0) std::_Exit(0);
    packet.reset();
    serve(std::move(control), request.owner, false, unsafe_to_fork, std::move(orders));
}

}  // namespace mp::process
