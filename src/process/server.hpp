// The fork server: a single-threaded process that starts others, reaps them and buries everything with its owner.
#pragma once

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include "process/order.hpp"
#include "process/worker_mode.hpp"

namespace mp::process {

/// What an exec'ed copy of the program does instead of its main: serves, or runs one process. Returns the exit code.
int run_marked_copy(Marker marker, int argc, char** argv);

/// Says on `control` that it serves, or why it cannot, and serves until the owner ends or closes its end; then kills and
/// reaps every process below. `is_snapshot`: this process is a fork of the owner, not a fresh copy. `unsafe_to_fork`:
/// other threads were running when this process was forked, so that its memory may hold locks without owner; its
/// children are copies executed anew. `orders`: where those of its spares come from; a snapshot has none.
[[noreturn]] void serve(os::UniqueFd control, pid_t owner, bool is_snapshot, bool unsafe_to_fork = false,
                        OrderSockets<os::UniqueFd> orders = {});

}  // namespace mp::process
