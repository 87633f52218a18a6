// One map in the caller's ledger.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <multiprocessing/pool_options.hpp>

#include "pool/shared.hpp"
#include "pool/task.hpp"

namespace mp::detail {

/// Guarded by the pool's lock until `done`.
struct PoolJob {
    using Clock = std::chrono::steady_clock;

    std::uint64_t at = 0;                    // JobHeader, in the segment
    pool::JobHeader header{};                // the same, where no worker can damage it
    std::uint64_t count = 0;                 // positions; "element" below is one, but in what workers tell
    std::uint64_t group = 1;                 // elements of the input a position
    std::vector<std::uint64_t> blocks;       // all of it in the segment
    std::shared_ptr<pool::Callable> callable;
    std::weak_ptr<const shm::Segment> place; // of for_each: the caller's memory in which it works
    pool::CallTerms terms;
    std::uint32_t label_number = 0;          // on the status page
    std::uint64_t chunk = 0;
    bool encoded = false;
    std::optional<std::size_t> worker;       // nobody else, by its place, takes part

    std::size_t taking_part = 0;             // workers that were sent a round and have not left it
    std::uint64_t round_at = 0;              // the round that is on
    std::uint64_t positions = 0;             // of that round
    int unmade = 0;                          // workers that died while they made the callable, in a row
    bool torn = false;                       // a worker died, or left early: open elements have to be looked for
    struct Again {
        std::uint64_t element;
        Clock::time_point due;
    };
    std::vector<Again> again;                // elements that failed and are tried once more, not before they are due
    std::optional<Clock::time_point> resume; // nobody is at it, and the first of them is due then
    std::unordered_map<std::uint64_t, pool::FailureCounts> failures;   // of elements that have failed
    std::map<std::uint64_t, std::exception_ptr> errors;          // of elements that failed
    std::map<std::uint64_t, std::shared_ptr<pool::LaneMemory>> lanes;  // where encoded results lie
    std::exception_ptr damage;               // a worker died whose record of what it was doing cannot be believed
    std::size_t damaged_by = 0;
    std::exception_ptr failure;              // of the whole call: over as soon as everybody has left
    std::optional<Clock::time_point> limit;  // when its time is up
    enum class Stopped : std::uint8_t { no, timeout, cancelled };
    Stopped stopped = Stopped::no;           // elements without a result get none any more
    bool done = false;
    bool abandoned = false;                  // nobody will look at the results
    pool::Watchers watchers;                // who is told when it is done

    int attempt(std::uint64_t element) const {
        const auto found = failures.find(element);
        return found == failures.end() ? 1 : found->second.attempt();
    }
};

}  // namespace mp::detail

namespace mp::pool {
using Job = detail::PoolJob;
}  // namespace mp::pool
