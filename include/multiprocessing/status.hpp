/// \file
/// The pools that run on this machine, seen from outside: what mp-top shows.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include <multiprocessing/export.hpp>
#include <multiprocessing/stats.hpp>

namespace mp {

/// A pool of some process.
struct RunningPool {
    /// Of the process that owns it.
    pid_t pid = 0;
    /// That process's command line, shortened.
    std::string program{};
    /// As Pool::stats() of that pool says at this moment.
    PoolStats stats{};
};

/// The pools of all processes that this user may look at, by pid. Neither the owners nor their workers are asked or
/// disturbed: each pool keeps a page of numbers in shared memory. What processes show of themselves is not believed
/// further than that it is printable. `only`: those of one process.
MP_EXPORT std::vector<RunningPool> running_pools(pid_t only = 0);

}  // namespace mp
