// What a pool can say about the life of each of its workers. Plain numbers, changed under the pool's lock.
#pragma once

#include <chrono>
#include <cstdint>

namespace mp::pool {

/// Of one worker's place in the pool, over all processes that held it.
struct LifeCounters {
    std::chrono::steady_clock::time_point started{};  // the process that holds it now
    std::chrono::steady_clock::time_point ready{};    // its initializer was done; before `started` until it is
    std::chrono::nanoseconds initializing{0};         // start to ready, all of them
    std::chrono::nanoseconds lived{0};                // ready to end, those that have ended
    std::chrono::nanoseconds busy{0};                 // in tasks and maps that were answered; the rest was waiting
    std::uint64_t tasks = 0;                          // tasks and elements answered, failed ones too
    std::uint64_t starts = 0;                         // processes
    std::uint64_t planned_ends = 0;                   // recycled
    std::uint64_t stopped = 0;                        // ended for a task that ran out of time or was cancelled
    std::uint64_t deaths = 0;                         // all others
    std::uint64_t retries = 0;                        // attempts after the first that failures here led to
    std::uint64_t timeouts = 0;                       // tasks and elements over their time
    std::uint64_t cancelled = 0;                      // while they ran
};

}  // namespace mp::pool
