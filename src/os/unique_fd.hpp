// Owns one file descriptor. Every descriptor of the library is born close-on-exec.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace mp::os {

class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1) {
        // Linux closes the descriptor even when close() reports EINTR, so there is nothing to repeat.
        if (const int old = std::exchange(fd_, fd); old >= 0) ::close(old);
    }

    /// A new descriptor, close-on-exec, for the same open file; empty, with errno, when there is none left.
    static UniqueFd duplicate(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

  private:
    int fd_ = -1;
};

}  // namespace mp::os
