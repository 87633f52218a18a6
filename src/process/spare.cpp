#include "process/spare.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>
#include <vector>

#include "os/retry.hpp"
#include "process/rehearsal.hpp"

namespace mp::process {

namespace {

// Those with handlers of the program, from its static initialisers.
sigset_t signals_with_handlers() {
    sigset_t found;
    ::sigemptyset(&found);
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction action{};
        if (::sigaction(signal, nullptr, &action) != 0) continue;
        const bool handled =
            (action.sa_flags & SA_SIGINFO) || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
        if (handled) ::sigaddset(&found, signal);
    }
    return found;
}

// False where memory is too short for it.
bool rehearsed(Packet& packet) {
    try {
        rehearse(packet);
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

[[noreturn]] void wait_for_order(os::UniqueFd socket, const sigset_t& handled) noexcept {
    ::prctl(PR_SET_NAME, "mp-spare");
    // A signal that ends a process ends the spare, so that none is left to meet a process that was not there when it
    // was sent. Handlers, however, are for processes that somebody asked for.
    ::sigprocmask(SIG_SETMASK, &handled, nullptr);
    auto packet = new_packet();
    if (!rehearsed(*packet) || !packet->receive(socket.get()) || packet->size == 0) std::_Exit(0);
    run_only_order(std::move(socket), std::move(packet));
}

}  // namespace

void Spare::make(const std::function<void()>& forget_server) {
    if (pid_ != 0) return;
    if (!handled_) {
        // What is bound to its name here need not be looked up in each spare.
        if (!rehearsed(*new_packet())) return;
        handled_ = signals_with_handlers();
    }
    auto ends = os::socket_pair();
    if (!ends) return;
    inheritance_ = Inheritance::of_this_process();
    // What sits in a buffer now would be written by the process as well.
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) return;
    if (pid == 0) {
        ends->first.reset();
        forget_server();
        wait_for_order(std::move(ends->second), *handled_);
    }
    pid_ = pid;
    socket_ = std::move(ends->first);
}

bool Spare::may_have(const Packet& packet) const {
    wire::Spawn spawn;
    if (pid_ == 0 || !packet.read(spawn)) return false;
    constexpr std::uint32_t others = wire::Spawn::execute | wire::Spawn::only | wire::Spawn::boot_in_file;
    std::size_t descriptors = 4 + spawn.handle_count;  // status, lifeline, report, directory
    for (const std::uint32_t stream : {wire::Spawn::has_output, wire::Spawn::has_error})
        if (spawn.flags & stream) ++descriptors;
    return (spawn.flags & others) == 0 && packet.size == sizeof spawn + spawn.boot_size &&
           packet.descriptors.size() == descriptors;
}

pid_t Spare::hand_over(const Packet& packet) {
    if (!may_have(packet)) return 0;
    // Dead, or stopped as no new process is, or unlike what this process would fork now.
    siginfo_t state{};
    const int looked = ::waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WSTOPPED | WNOHANG | WNOWAIT);
    if (looked != 0 || state.si_pid != 0 || inheritance_ != Inheritance::of_this_process()) {
        dismiss();
        return 0;
    }
    std::vector<int> descriptors;
    for (const auto& fd : std::span(packet.descriptors).subspan(1)) descriptors.push_back(fd.get());
    if (!os::send_message(socket_.get(), std::span(packet.bytes).first(packet.size), descriptors)) {
        dismiss();
        return 0;
    }
    socket_.reset();
    return std::exchange(pid_, 0);
}

void Spare::forget() {
    pid_ = 0;
    socket_.reset();
}

void Spare::dismiss() {
    if (pid_ != 0) ::kill(pid_, SIGKILL);
    forget();
}

bool Spare::end() {
    const pid_t pid = pid_;
    dismiss();
    return pid != 0 && os::retry([&] { return ::waitpid(pid, nullptr, 0); }) == pid;
}

}  // namespace mp::process
