// The ways of counting, each in a file of its own: mode_*.cpp.
#pragma once

#include <multiprocessing/context.hpp>

#include "primes/arguments.hpp"
#include "primes/progress.hpp"
#include "primes/result.hpp"

namespace primes {

/// What the modes with worker processes need to know besides the job.
struct Settings {
    mp::StartMethod start_method = mp::StartMethod::forkserver;
    unsigned crash_worker = 0;  ///< to be killed once in mid-run; 0: none
};

// All of them return a partial result soon after Ctrl-C, and a complete one whichever worker dies.

/// In this process: the yardstick.
Result count_serially(const Job& job, Progress& progress);

/// A process for each even part of the range; results come back through pipes.
Result count_in_processes(const Job& job, const Settings& settings, Progress& progress);

/// The same with a shared Value and a Queue.
Result count_with_shared_state(const Job& job, const Settings& settings, Progress& progress);

/// A pool that deals out blocks.
Result count_in_pool(const Job& job, const Settings& settings, Progress& progress);

/// Long-lived workers of our own class, asked for one block after the other through pipes.
Result count_with_own_workers(const Job& job, const Settings& settings, Progress& progress);

}  // namespace primes
