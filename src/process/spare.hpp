// A process that a fork server has forked before anybody asked for it. It has taken every step that depends on no
// order, waits for one, and becomes the process that is ordered.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "os/unique_fd.hpp"
#include "process/order.hpp"
#include "process/rehearsal.hpp"

namespace mp::process {

/// The server's side. At most one spare at a time. It is bound to the owner's end of its lifeline, as any process is,
/// and ends with the server unless it has been given its order.
class Spare {
  public:
    /// `orders`: the spares' ends.
    explicit Spare(OrderSockets<os::UniqueFd> orders) {
        for (std::size_t i = 0; i < orders.size(); ++i) places_[i].orders = std::move(orders[i]);
    }

    struct Made {
        pid_t pid;
        os::UniqueFd status;  // where the server tells how it ended
    };
    /// Forks one, unless there is one already, and offers it to the owner at the other end of `control`. Its order will
    /// be in its copy of `packet`; `forget_server` closes there what is the server's alone. Nothing where no process
    /// can be had, or where one would not do.
    std::optional<Made> make(int control, Packet& packet, const std::function<void()>& forget_server);

    /// The spare's, until it was given its order; 0: there is none.
    pid_t pid() const { return pid_; }
    /// By the owner, which knows by now whether each that was taken before has begun.
    void was_taken(pid_t pid);
    void was_reaped(pid_t pid);
    /// Lets go of orders for spares that ended before they took them, and of what these hold.
    void refuse_orders() const;
    /// In a fork of the server.
    void leave_server() {
        pid_ = 0;
        places_ = {};
        server_.reset();
    }
    /// Kills it, to be reaped. False when there is none.
    bool kill() const;

  private:
    // Where spares wait for their orders.
    struct Place {
        os::UniqueFd orders;
        pid_t newest = 0;       // of those that waited there; 0: it was reaped
        bool is_known = false;  // whether that one has begun: then another may wait there
        bool is_free() const { return newest == 0 || is_known; }
    };
    std::array<Place, std::tuple_size_v<OrderSockets<os::UniqueFd>>> places_;
    pid_t pid_ = 0;
    std::uint64_t number_ = 0;              // of the newest
    std::unique_ptr<Rehearsal> rehearsal_;  // once there was a first one
    os::UniqueFd server_;                   // a pidfd of the server, for the spare
    std::optional<bool> would_do_;          // once it was found out
};

}  // namespace mp::process
