// Descriptors that a child forked by the host program must not keep: they tell others that this process lives.
#pragma once

#include "os/unique_fd.hpp"

namespace mp::os {

/// A descriptor that is closed by itself in every child that fork() makes from this process.
class ForkPrivateFd {
  public:
    ForkPrivateFd() = default;
    explicit ForkPrivateFd(UniqueFd fd);
    ForkPrivateFd(ForkPrivateFd&& other) noexcept;
    ForkPrivateFd& operator=(ForkPrivateFd&& other) noexcept;
    ~ForkPrivateFd();

    /// -1 in a forked child, where it is closed.
    int get() const;
    explicit operator bool() const { return get() >= 0; }
    void reset();

  private:
    UniqueFd fd_;
    int owner_ = 0;  // process that opened it
};

}  // namespace mp::os
