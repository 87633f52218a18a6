// Runs a program and collects what it prints, for tests of whole programs.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "os/retry.hpp"
#include "os/unique_fd.hpp"

namespace mp::test {

/// One run. Killed when it is still running at the end of the scope.
class CapturedProgram {
  public:
    enum class Stderr { pipe, terminal };

    /// Starts `words[0]` with the rest as its arguments. With Stderr::terminal its stderr is a pseudo-terminal.
    explicit CapturedProgram(std::vector<std::string> words, Stderr where = Stderr::pipe) {
        auto [out_reader, out_writer] = pipe();
        auto [err_reader, err_writer] = where == Stderr::pipe ? pipe() : terminal();
        std::vector<char*> arguments;
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, out_writer.get(), STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, err_writer.get(), STDERR_FILENO);
        const int error = ::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        if (error) throw std::runtime_error("cannot start " + words[0]);
        out_ = std::move(out_reader);
        err_ = std::move(err_reader);
    }
    ~CapturedProgram() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        reap();
    }
    CapturedProgram(const CapturedProgram&) = delete;
    CapturedProgram& operator=(const CapturedProgram&) = delete;

    pid_t pid() const { return pid_; }
    const std::string& out() const { return out_text_; }
    const std::string& err() const { return err_text_; }

    /// Reads until `done()` is true; false when the program closed both streams or `limit` passed before.
    template <class Done>
    bool read_until(Done done, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (!done()) {
            if ((!out_ && !err_) || std::chrono::steady_clock::now() >= deadline) return false;
            pollfd files[] = {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}};
            ::poll(files, 2, 20);
            if (files[0].revents) read(out_, out_text_);
            if (files[1].revents) read(err_, err_text_);
        }
        return true;
    }

    /// Waits for both streams to be closed - by everybody that holds them, grandchildren too - and for the program's
    /// end. Exit status, or minus the signal that killed it; throws when that takes longer than `limit`.
    int wait(std::chrono::milliseconds limit = std::chrono::seconds(60)) {
        read_until([&] { return !out_ && !err_; }, limit);
        if (out_ || err_) throw std::runtime_error("the program, or something it started, holds its streams open");
        return reap();
    }

  private:
    using Ends = std::pair<os::UniqueFd, os::UniqueFd>;

    static Ends pipe() {
        int fds[2];
        if (::pipe2(fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        return {os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
    }
    static Ends terminal() {
        os::UniqueFd ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        if (!ours || ::grantpt(ours.get()) != 0 || ::unlockpt(ours.get()) != 0) throw std::runtime_error("terminal");
        os::UniqueFd theirs(::open(::ptsname(ours.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
        return {std::move(ours), std::move(theirs)};
    }
    static void read(os::UniqueFd& fd, std::string& text) {
        char bytes[4096];
        const auto count = os::retry([&] { return ::read(fd.get(), bytes, sizeof bytes); });
        if (count <= 0)
            fd.reset();  // a terminal whose other side is gone says EIO
        else
            text.append(bytes, static_cast<std::size_t>(count));
    }
    int reap() {
        int status = 0;
        os::retry([&] { return ::waitpid(pid_, &status, 0); });
        pid_ = -1;
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    }

    pid_t pid_ = -1;
    os::UniqueFd out_, err_;
    std::string out_text_, err_text_;
};

}  // namespace mp::test
