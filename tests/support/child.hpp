// A forked child for tests of what is shared between processes; killed and reaped when the test leaves the scope.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <utility>

#include "os/retry.hpp"

namespace mp::test {

class Child {
  public:
    /// Runs `body()` in a fork and ends the child with its result as exit status; 99 when it throws.
    template <class Body>
    explicit Child(Body&& body) : pid_(::fork()) {
        if (pid_ != 0) return;
        int status = 99;
        try {
            status = std::forward<Body>(body)();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "child: %s\n", error.what());
        }
        std::fflush(nullptr);
        ::_exit(status);
    }
    Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Child& operator=(Child&&) = delete;
    ~Child() {
        if (pid_ > 0) {
            kill();
            wait();
        }
    }

    pid_t pid() const { return pid_; }
    void kill(int signal = SIGKILL) { ::kill(pid_, signal); }

    /// Exit status, or minus the signal that killed it.
    int wait() {
        int status = 0;
        os::retry([&] { return ::waitpid(pid_, &status, 0); });
        pid_ = -1;
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    }

  private:
    pid_t pid_;
};

}  // namespace mp::test
