// The ways of counting, each in a file of its own: mode_*.cpp.
#pragma once

#include "primes/arguments.hpp"
#include "primes/progress.hpp"
#include "primes/result.hpp"

namespace primes {

/// Counts in this process. All modes return a partial result soon after Ctrl-C.
Result count_serially(const Job& job, Progress& progress);

}  // namespace primes
