// A process that a fork server has forked before anybody asked for it. It has taken every step that depends on no
// order, waits for one, and becomes the process that is ordered.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <optional>

#include "os/unique_fd.hpp"
#include "process/inheritance.hpp"
#include "process/order.hpp"

namespace mp::process {

/// The server's side. At most one spare at a time; it ends with the server, whose end of its socket it reads.
class Spare {
  public:
    /// Forks one, unless there is one already. `forget_server` closes there what is the server's alone. Where no
    /// process can be had nothing happens.
    void make(const std::function<void()>& forget_server);

    /// Gives it the order of a wire::Spawn whose handles are all in the packet. Its pid, which is that of the started
    /// process from then on; 0 when there is none that may have it: another process has to be forked.
    pid_t hand_over(const Packet& packet);

    /// The spare's, until it has its order; 0: there is none.
    pid_t pid() const { return pid_; }
    /// It was reaped; or this process is a fork of the server.
    void forget();
    /// Kills it, to be reaped like any child.
    void dismiss();
    /// Kills and reaps it. False when there was none.
    bool end();

  private:
    bool may_have(const Packet& packet) const;

    pid_t pid_ = 0;
    os::UniqueFd socket_;
    Inheritance inheritance_;          // what it was forked with
    std::optional<sigset_t> handled_;  // the signals that the program has handlers for, once they were looked up
};

}  // namespace mp::process
