// How positions of a map, which are what workers claim, become elements, which are what people count.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <multiprocessing/detail/pool_entry.hpp>

namespace mp::pool {

/// Each position stands for so many elements of the input, and the last one for what is left.
struct Grouping {
    std::uint64_t group = 1;
    std::uint64_t elements = 0;

    std::uint64_t first(std::uint64_t position) const { return position * group; }
    /// How many elements `positions` are that begin with element `first`.
    std::uint64_t covered(std::uint64_t first, std::uint64_t positions) const {
        if (group == 1) return positions;
        const std::uint64_t left = elements - std::min(elements, first);
        return positions > left / group ? left : positions * group;
    }
};

/// Positions of the claim [begin, end) that have not ended while `current` runs; all when it is none of them. The three
/// are read from others' memory, not at one instant: they may be anything.
inline std::uint64_t open_positions(std::uint64_t begin, std::uint64_t end, std::uint64_t current) {
    if (end <= begin) return 0;
    return end - (current >= begin && current < end ? current : begin);
}

/// Elements that take less, in nanoseconds, are not shown one by one: looking would cost more than they do.
inline constexpr std::uint64_t worth_a_look = 2'000;

/// Runs the positions of a claim one by one, for a picture that shows each: `run(from)` runs what `call` says, and gives
/// the time at its end. Ends early when a position was not run. Returns when the last one ended.
template <class Time, class Run>
Time run_one_by_one(detail::MapCall& call, Time from, const Run& run) {
    const std::uint64_t first = call.begin, end = call.end;
    for (std::uint64_t position = first; position != end; ++position) {
        call.begin = position;
        call.end = position + 1;
        from = run(from);
        if (call.end == position) break;
    }
    call.begin = first;
    return from;
}

}  // namespace mp::pool
