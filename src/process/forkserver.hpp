// The owner's side of a fork server.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "base/expected.hpp"
#include "os/fork_private.hpp"
#include "process/order.hpp"
#include "process/wire.hpp"

namespace mp::process {

struct SpawnReply {
    pid_t pid = 0;       // 0: there is a spare that the order may be given to
    os::UniqueFd pidfd;  // missing where the kernel has none
};

/// A process that a server has forked in advance, as its owner holds it: it dies with `lifeline`.
struct Offer {
    pid_t pid = 0;
    std::uint64_t number = 0, place = 0;
    os::UniqueFd status, lifeline, report;
    os::UniqueFd pidfd;  // missing where there was no descriptor left for it
    Inheritance inheritance;
    std::unique_lock<std::mutex> turn;  // as long as it is held no other spare is taken

    bool has_ended() const;
};

/// A connection to one server. Any thread.
class Forkserver {
  public:
    /// Executes a clean copy of this program that serves. Throws Error when it does not come up.
    static std::shared_ptr<Forkserver> execute();
    /// Forks this process: its children are snapshots of the caller at this moment. Throws UnsafeFork while there are
    /// other threads.
    static std::shared_ptr<Forkserver> snapshot();

    /// The one that forkserver and spawn use, started at first use and again when it was killed.
    static std::shared_ptr<Forkserver> shared();
    /// Ends the shared one and everything below it, and waits for that; the next use starts another. For tests that
    /// count what is left.
    static void shut_down_shared();

    Forkserver(os::UniqueFd control, OrderSockets<os::ForkPrivateFd> orders, pid_t pid, os::UniqueFd pidfd);
    ~Forkserver();

    pid_t pid() const { return pid_; }
    bool alive() const;
    /// False when the owner has changed its user or group since: processes from here would have the rights of before.
    bool has_callers_rights() const;

    /// The spare, if there is one that is like what the server would fork now, and nobody else is just taking it. It
    /// may end at any time. The caller has its turn until it knows whether the spare has begun.
    std::optional<Offer> take_spare();
    /// Gives the spare its order, which has its number, so that the server may make another. False where it cannot be
    /// sent.
    bool give(const Offer& spare, std::span<const std::byte> packet, std::span<const int> own,
              std::span<const serial::Handle> handles);
    /// Sends an order to the server and waits for the answer. EPIPE or ECONNRESET when the server is gone.
    base::Expected<SpawnReply> spawn(std::span<const std::byte> packet, std::span<const int> own,
                                     std::span<const serial::Handle> handles);
    base::Expected<void> signal(pid_t pid, int signal);

  private:
    bool wait_for_answer() const;
    base::Expected<std::optional<SpawnReply>> receive();

    std::mutex spares_;  // one spare is taken at a time; before mutex_
    std::mutex mutex_;   // one request at a time; guards offer_
    os::ForkPrivateFd control_;
    OrderSockets<os::ForkPrivateFd> orders_;  // for its spares; a snapshot has none
    pid_t pid_;
    const uid_t user_;
    const gid_t group_;
    os::UniqueFd pidfd_;
    std::optional<Offer> offer_;  // that came before the answer that spoke of it
};

}  // namespace mp::process
