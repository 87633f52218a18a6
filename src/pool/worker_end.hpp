// Ends of a worker that its task brought about in ways that cannot be answered with a result.
#pragma once

#include <cstdint>
#include <optional>

#include <multiprocessing/serialize.hpp>
#include <multiprocessing/stats.hpp>

namespace mp::pool {

/// In a worker, before any code of the user: joins `group`, or where that is not to be had limits its own data. Returns what
/// became of it.
MemoryLimiter limit_memory(std::uint64_t limit, std::optional<serial::Handle> group);

/// Within a handler, for what a task ended with. Ends the process when that was pthread_exit, which unwinds the stack
/// like an exception but must not be stopped, or std::bad_alloc after the worker's limit had it refused; the owner is told
/// which. Otherwise returns.
void end_when_lost();

}  // namespace mp::pool
