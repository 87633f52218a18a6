#include "support/run_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

extern char** environ;

namespace mp::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Ends {
    int read = -1, write = -1;
};

Ends make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return {};
    return {fds[0], fds[1]};
}

void close_fd(int& fd) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
}

/// Pointers to the strings, ended by a null pointer.
std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (std::string& text : strings) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& added) {
    std::vector<std::string> result = added;
    for (char** entry = environ; *entry; ++entry) {
        const std::string_view name = std::string_view(*entry).substr(0, std::string_view(*entry).find('=') + 1);
        if (std::none_of(added.begin(), added.end(), [&](const std::string& text) { return text.starts_with(name); }))
            result.emplace_back(*entry);
    }
    return result;
}

int spawn(pid_t& pid, std::vector<std::string>& command, const ProgramOptions& options, int in, int out, int err) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, err, 2);
    if (!options.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // A fresh signal state and a process group of its own, whatever the test did to itself.
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    auto environment = merged_environment(options.environment);
    const int error = posix_spawnp(&pid, command[0].c_str(), &actions, &attributes, pointers(command).data(),
                                   pointers(environment).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/// Appends what can be read now; closes at the end of file.
void read_some(int& fd, std::string& into) {
    char buffer[65536];
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count > 0)
        into.append(buffer, static_cast<std::size_t>(count));
    else if (count == 0 || (errno != EINTR && errno != EAGAIN))
        close_fd(fd);
}

}  // namespace

RunningProgram::RunningProgram(std::vector<std::string> command, ProgramOptions options)
    : input_(std::move(options.input)),
      close_when_written_(!options.keep_input_open),
      started_(Clock::now()),
      limit_(started_ + options.deadline) {
    Ends in = make_pipe(), out = make_pipe(), err = make_pipe();
    const int error = spawn(pid_, command, options, in.read, out.write, err.write);
    close_fd(in.read);
    close_fd(out.write);
    close_fd(err.write);
    in_ = in.write;
    out_ = out.read;
    err_ = err.read;
    for (const int fd : {in_, out_, err_}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    if (error != 0) {
        pid_ = -1;
        status_ = 127 << 8;
        result_.err = "cannot start " + command[0] + ": " + std::strerror(error);
    }
}

RunningProgram::~RunningProgram() {
    close_fd(in_);
    if (!status_) {
        kill_group();
        reap(true);
    }
    close_fd(out_);
    close_fd(err_);
}

void RunningProgram::signal(int number) {
    if (!reap(false)) ::kill(pid_, number);
}

void RunningProgram::write(std::string_view text) {
    input_ += text;
    pump(Clock::now());
}

void RunningProgram::close_input() {
    close_when_written_ = true;
    pump(Clock::now());
}

bool RunningProgram::wait_for_out(std::string_view text) { return wait_for(result_.out, text); }
bool RunningProgram::wait_for_err(std::string_view text) { return wait_for(result_.err, text); }

bool RunningProgram::wait_for(const std::string& stream, std::string_view text) {
    const int& fd = &stream == &result_.out ? out_ : err_;
    while (stream.find(text) == stream.npos)
        if (fd < 0 || !pump(limit_)) return false;
    return true;
}

ProgramResult RunningProgram::finish() {
    while (out_ >= 0 || err_ >= 0) {
        // Whoever holds the pipes open after the program's end gets a second.
        const bool ended = reap(false);
        const auto now = Clock::now();
        if (ended) limit_ = std::min(limit_, now + 1s);
        if (now >= limit_) break;
        pump(std::min(limit_, now + 50ms));
    }
    // Both outputs closed is not the end yet.
    while (!reap(false) && Clock::now() < limit_) ::poll(nullptr, 0, 1);
    if (!status_) {
        result_.timed_out = true;
        kill_group();
        reap(true);
        const auto rest = Clock::now() + 1s;
        while ((out_ >= 0 || err_ >= 0) && Clock::now() < rest) pump(rest);
    }
    result_.exit_code = WIFSIGNALED(*status_) ? -WTERMSIG(*status_) : WEXITSTATUS(*status_);
    result_.duration = Clock::now() - started_;
    return std::move(result_);
}

/// Moves bytes until something moved or `limit`; false when the time was up.
bool RunningProgram::pump(Clock::time_point limit) {
    if (in_ >= 0 && input_.empty() && close_when_written_) close_fd(in_);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now()).count();
    pollfd fds[] = {{input_.empty() ? -1 : in_, POLLOUT, 0}, {out_, POLLIN, 0}, {err_, POLLIN, 0}};
    const int ready = ::poll(fds, 3, static_cast<int>(std::clamp<long long>(left, 0, 1'000'000)));
    if (ready <= 0) return ready < 0 && errno == EINTR;
    if (fds[0].revents) {
        // A program that does not read its input must not kill the test with SIGPIPE.
        sigset_t pipe, old;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe, &old);
        const ssize_t count = ::write(in_, input_.data(), input_.size());
        if (count < 0 && errno == EPIPE) {
            const timespec now{};
            ::sigtimedwait(&pipe, nullptr, &now);
            input_.clear();
            close_fd(in_);
        }
        ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
        if (count > 0) input_.erase(0, static_cast<std::size_t>(count));
        if (in_ >= 0 && input_.empty() && close_when_written_) close_fd(in_);
    }
    if (fds[1].revents) read_some(out_, result_.out);
    if (fds[2].revents) read_some(err_, result_.err);
    return true;
}

/// Whether it has ended.
bool RunningProgram::reap(bool wait) {
    int status = 0;
    while (!status_) {
        const pid_t done = ::waitpid(pid_, &status, wait ? 0 : WNOHANG);
        if (done == pid_)
            status_ = status;
        else if (done == 0)
            return false;
        else if (errno != EINTR)
            status_ = 127 << 8;  // somebody else reaped it
    }
    return true;
}

void RunningProgram::kill_group() { ::kill(-pid_, SIGKILL); }

ProgramResult run_program(std::vector<std::string> command, ProgramOptions options) {
    return RunningProgram(std::move(command), std::move(options)).finish();
}

}  // namespace mp::test
