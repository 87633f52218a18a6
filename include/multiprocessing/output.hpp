/// \file
/// What becomes of what a pool's workers print.
#pragma once

#include <cstdint>
#include <optional>

namespace mp {

/// Where the standard output and error of a pool's workers go. Except with `inherit`, what a task prints by stdio or
/// iostreams is on the caller's streams before its get() or map() returns; what it writes otherwise - by write(2), or
/// in a process that it started - follows within a moment. A worker waits only for whoever reads the caller's own
/// output, never for the caller.
enum class Output {
    /// To the caller's, whole line by line, in the order in which the worker printed to that stream. The end of a
    /// worker, or of the pool, completes a line that has no end.
    lines,
    /// The same, and each line begins with worker and task: `[pool-1 parse #7] text`.
    tagged,
    /// The workers have the caller's descriptors: nothing is read on the way, lines may run into each other, programs
    /// that ask whether they print to a terminal see the caller's.
    inherit,
    /// Nowhere. The last lines of standard error are still kept for WorkerLost.
    discard,
};

/// When a worker floods its output, what is more than this is dropped; a line says how many were. For each stream of a
/// worker; without a number there is no limit.
struct OutputLimit {
    /// Lines of one stream of one worker in a second; more are dropped and counted.
    std::optional<std::uint64_t> lines_per_second = 200'000;
    /// Of the same line again and again, without another between.
    std::optional<std::uint64_t> repeats_per_second = 20'000;
};

}  // namespace mp
