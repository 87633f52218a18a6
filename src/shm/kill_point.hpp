// Where a test may let a process die: between any two steps of an operation on shared memory.
#pragma once

#include <atomic>

namespace mp::shm {

/// Set by a test in a process that is to die at its k-th step; null everywhere else. One predictable branch each.
inline std::atomic<void (*)()> kill_hook{nullptr};

inline void kill_point() {
    if (const auto hook = kill_hook.load(std::memory_order_relaxed)) [[unlikely]] hook();
}

}  // namespace mp::shm
