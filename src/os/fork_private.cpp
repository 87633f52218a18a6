#include "os/fork_private.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <utility>

#include "os/own_pid.hpp"

namespace mp::os {

namespace {

// One bit a descriptor; numbers beyond are not private, which costs promptness in a forked child, never correctness.
// Atomic words instead of a lock: the handler runs in a child whose parent may have been anywhere.
constexpr int tracked = 1 << 16;
std::array<std::atomic<std::uint64_t>, tracked / 64> private_fds{};

void close_in_child() {
    for (std::size_t word = 0; word < private_fds.size(); ++word) {
        std::uint64_t bits = private_fds[word].exchange(0, std::memory_order_relaxed);
        while (bits) {
            ::close(static_cast<int>(word * 64) + __builtin_ctzll(bits));
            bits &= bits - 1;
        }
    }
}

void mark(int fd, bool is_private) {
    if (fd < 0 || fd >= tracked) return;
    static const int registered = ::pthread_atfork(nullptr, nullptr, &close_in_child);
    static_cast<void>(registered);
    const std::uint64_t bit = std::uint64_t(1) << (fd % 64);
    auto& word = private_fds[static_cast<std::size_t>(fd) / 64];
    if (is_private) word.fetch_or(bit, std::memory_order_relaxed);
    else word.fetch_and(~bit, std::memory_order_relaxed);
}

}  // namespace

ForkPrivateFd::ForkPrivateFd(UniqueFd fd) : fd_(std::move(fd)), owner_(own_pid()) { mark(fd_.get(), true); }

ForkPrivateFd::ForkPrivateFd(ForkPrivateFd&& other) noexcept : fd_(std::move(other.fd_)), owner_(other.owner_) {}

ForkPrivateFd& ForkPrivateFd::operator=(ForkPrivateFd&& other) noexcept {
    if (this != &other) {
        reset();
        fd_ = std::move(other.fd_);
        owner_ = other.owner_;
    }
    return *this;
}

ForkPrivateFd::~ForkPrivateFd() { reset(); }

int ForkPrivateFd::get() const { return fd_ && owner_ == own_pid() ? fd_.get() : -1; }

void ForkPrivateFd::reset() {
    if (!fd_) return;
    // In a forked child the number may belong to another file by now.
    if (owner_ != own_pid()) {
        fd_.release();
        return;
    }
    mark(fd_.get(), false);
    fd_.reset();
}

}  // namespace mp::os
