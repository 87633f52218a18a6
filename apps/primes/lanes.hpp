// The tutorial's way: the range is cut into as many even parts as there are processes, and each counts its own.
#pragma once

#include <multiprocessing/process.hpp>

#include <functional>

#include "primes/modes.hpp"

namespace primes {

/// How the processes of one mode are made and heard.
struct LaneWays {
    /// A process, not yet started, that counts `rest` for lane number `lane` and reports block by block from low to
    /// high. Called again for the rest of a lane whose process died.
    std::function<mp::Process(std::size_t lane, Block rest)> make;
    /// Hands every report that has arrived to its argument, without waiting.
    std::function<void(const std::function<void(const Counted&)>&)> collect;
};

Result count_in_lanes(Result result, const Settings& settings, Progress& progress, const LaneWays& ways);

/// For the functions that processes run: Ctrl-C in the terminal reaches all processes, but it is for the first one to
/// say what follows.
void leave_interrupts_to_the_caller();

}  // namespace primes
