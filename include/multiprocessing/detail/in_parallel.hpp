/// \file
/// Short work of the calling process, divided among several of its threads.
#pragma once

#include <cstdint>
#include <functional>

#include <multiprocessing/export.hpp>

namespace mp::detail {

/// Calls `work(begin, end)` for stretches that together are [0, count), in any order, on at most `threads` threads. The
/// calling one is among them, and does what is left to it by those that cannot be started. The others live as long as
/// this call, and get no signals. Throws what the first call that failed threw; then some stretches were left out.
MP_EXPORT void in_parallel(std::uint64_t count, int threads,
                           const std::function<void(std::uint64_t begin, std::uint64_t end)>& work);

}  // namespace mp::detail
