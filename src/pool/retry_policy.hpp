// Whether a task that failed is tried again, and when: a pure function of what was asked for and what has happened.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include <multiprocessing/pool_options.hpp>

namespace mp::pool {

enum class FailureKind : std::uint8_t { crash, exception, timeout, memory };

/// How often one task has failed, by kind.
struct FailureCounts {
    std::array<std::uint32_t, 4> of{};

    /// 1 for the first.
    int attempt() const { return static_cast<int>(1 + of[0] + of[1] + of[2] + of[3]); }
};

/// The budget for one kind of failure.
int budget(const Retries& retries, FailureKind kind);

/// Whether it may be tried again after one more failure of this kind.
bool may_retry(const Retries& retries, const FailureCounts& counts, FailureKind kind);

/// How long to wait before an attempt (2 for the first repetition). `seed` and `task` name the chance.
std::chrono::nanoseconds delay_before(const RetryDelay& delay, int attempt, std::uint64_t seed, std::uint64_t task);

/// Throws std::invalid_argument for what makes no sense.
void check(const Retries& retries);

}  // namespace mp::pool
