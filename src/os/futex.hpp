// Sleeping on a 32-bit word in shared memory until another process says it changed.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/deadline.hpp"

namespace mp::os {

/// Sleeps while `word` holds `expected`; returns on a wake-up, a signal, a change or the deadline - the caller looks
/// again at what it waits for. False only when the deadline passed.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, base::Deadline deadline);

/// Wakes up to `count` sleepers on `word`, in any process that maps it; how many there were to wake.
int futex_wake(const std::atomic<std::uint32_t>& word, int count);
void futex_wake_all(const std::atomic<std::uint32_t>& word);

}  // namespace mp::os
