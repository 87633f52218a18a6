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
    static UniqueFd duplicate(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)); }

  private:
    int fd_ = -1;
};

/// `fd` itself, or the same open file under a number that is not a standard stream's: in a program that has closed one
/// of those the next descriptor gets its number, and what the program then prints. Empty, with errno, when there is no
/// descriptor left. The number may have been a stream's for a moment.
inline UniqueFd clear_of_streams(UniqueFd fd) {
    if (!fd || fd.get() > STDERR_FILENO) return fd;
    return UniqueFd::duplicate(fd.get());
}

}  // namespace mp::os
