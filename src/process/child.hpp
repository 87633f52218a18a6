// A started process, as its owner holds it: watch, signal, collect.
#pragma once

#include <csignal>
#include <memory>
#include <mutex>
#include <optional>

#include <multiprocessing/exit_status.hpp>

#include "base/deadline.hpp"
#include "os/fork_private.hpp"
#include "os/mapping.hpp"
#include "process/forkserver.hpp"
#include "process/report.hpp"

namespace mp::process {

/// Any thread. Destroying it closes the owner's end of the lifeline: the process dies if it still runs.
class Child {
  public:
    struct Parts {
        pid_t pid = 0;
        os::UniqueFd pidfd;
        os::UniqueFd status;
        os::UniqueFd lifeline;
        os::Mapping report;
        std::shared_ptr<Forkserver> server;
    };
    explicit Child(Parts parts);

    pid_t pid() const { return pid_; }
    /// Readable when the process has ended.
    int sentinel();

    /// Waits for the end: true, or false at the deadline.
    bool wait(base::Deadline deadline);
    /// How it ended, once it has; does not wait.
    std::optional<ExitStatus> status();
    /// How it is about to end, while it writes a core: known as soon as the crash report is complete, provided that the
    /// thread which crashed is the one the process began with, so that nothing more comes from that.
    std::optional<ExitStatus> crashing() const;
    /// Does nothing when it has ended.
    void signal(int signal);

    /// Where the thread that the process began with - that of the target, or of a pool's tasks - is now, in user code or
    /// in a system call, which may end with EINTR for it. Nothing when the process has ended, is stopped, blocks SIGURG
    /// or handles it itself, or does not answer before the deadline. One caller at a time; others wait their turn.
    std::optional<Stack> sample_stack(base::Deadline deadline);

    /// Asks the process's stop token to stop.
    void request_stop();
    /// Takes that back, for a process that lives on.
    void withdraw_stop();
    const ReportPage& report() const { return *reinterpret_cast<const ReportPage*>(report_.data()); }

  private:
    bool collect();

    const pid_t pid_;
    os::ForkPrivateFd pidfd_;
    os::ForkPrivateFd status_;
    os::ForkPrivateFd lifeline_;
    os::Mapping report_;
    std::shared_ptr<Forkserver> server_;
    std::mutex sampling_;                   // one question at a time; never taken under mutex_
    std::mutex mutex_;                      // guards what follows
    std::optional<ExitStatus> ended_;
    bool status_lost_ = false;              // the server died before it could tell
};

}  // namespace mp::process
