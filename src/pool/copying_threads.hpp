// How many threads of the caller copy the inputs or results of a map.
#pragma once

#include <algorithm>
#include <cstdint>

#include <multiprocessing/cpu_count.hpp>

namespace mp::pool {

/// The bytes for which a thread is started: copying them takes several times as long as starting it.
inline constexpr std::uint64_t worth_a_thread = 2 << 20;

/// The CPUs that the workers have are free meanwhile: until a map's inputs are there, and once its results are.
inline int copying_threads(std::uint64_t bytes, int workers) {
    if (bytes < 2 * worth_a_thread || workers < 2) return 1;
    const auto most = std::min(static_cast<std::uint64_t>(workers), std::uint64_t{cpu_count()});
    return static_cast<int>(std::min(most, bytes / worth_a_thread));
}

}  // namespace mp::pool
