// A process that a fork server has forked before anybody asked for it. It has taken every step that depends on no
// order, waits for one, and becomes the process that is ordered.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>

#include "os/unique_fd.hpp"
#include "process/order.hpp"
#include "process/rehearsal.hpp"

namespace mp::process {

/// The server's side. At most one spare at a time. It is bound to the owner's end of its lifeline, as any process is,
/// and ends with the server unless it has been given its order.
class Spare {
  public:
    struct Made {
        pid_t pid;
        os::UniqueFd status;  // where the server tells how it ended
    };
    /// Forks one, unless there is one already, and offers it to the owner at the other end of `control`. Its order will
    /// be in its copy of `packet`; `forget_server` closes there what is the server's alone. Nothing where no process
    /// can be had, or where one would not do.
    std::optional<Made> make(int control, Packet& packet, const std::function<void()>& forget_server);

    /// The spare's, as long as nobody has said that it was given an order; 0: there is none.
    pid_t pid() const { return pid_; }
    /// It was given one, or was reaped.
    void forget() { pid_ = 0; }
    /// In a fork of the server.
    void leave_server() {
        forget();
        server_.reset();
    }
    /// Kills it, to be reaped. False when there is none.
    bool kill() const;

  private:
    pid_t pid_ = 0;
    std::unique_ptr<Rehearsal> rehearsal_;  // once there was a first one
    os::UniqueFd server_;                   // a pidfd of the server, for the spare
    std::optional<bool> would_do_;          // once it was found out
};

}  // namespace mp::process
