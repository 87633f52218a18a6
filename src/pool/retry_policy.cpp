#include "pool/retry_policy.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace mp::pool {

namespace {

// A number in [0, 1) that depends on nothing else (splitmix64 of Steele, Lea and Flood).
double chance(std::uint64_t seed, std::uint64_t task, std::uint64_t attempt) {
    std::uint64_t x = seed + 0x9e3779b97f4a7c15 * (task + 1) + 0xbf58476d1ce4e5b9 * attempt;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x ^= x >> 31;
    return static_cast<double>(x >> 11) * 0x1p-53;
}

}  // namespace

int budget(const Retries& retries, FailureKind kind) {
    switch (kind) {
        case FailureKind::crash: return retries.crash;
        case FailureKind::exception: return retries.exception;
        case FailureKind::timeout: return retries.timeout;
        case FailureKind::memory: return retries.memory;
    }
    return 0;
}

bool may_retry(const Retries& retries, const FailureCounts& counts, FailureKind kind) {
    return counts.of[static_cast<std::size_t>(kind)] < static_cast<std::uint32_t>(std::max(0, budget(retries, kind)));
}

std::chrono::nanoseconds delay_before(const RetryDelay& delay, int attempt, std::uint64_t seed, std::uint64_t task) {
    const double first = static_cast<double>(delay.first.nanoseconds().count());
    const double most = static_cast<double>(delay.most.nanoseconds().count());
    // The power may be infinite; the smaller of the two is not.
    const double full = std::min(first * std::pow(delay.factor, attempt - 2), most);
    if (!(full > 0)) return std::chrono::nanoseconds(0);
    const double kept = full * (1 - delay.jitter * chance(seed, task, static_cast<std::uint64_t>(attempt)));
    return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(kept, 1e18)));
}

void check(const Retries& retries) {
    for (const auto kind : {FailureKind::crash, FailureKind::exception, FailureKind::timeout, FailureKind::memory})
        if (budget(retries, kind) < 0)
            throw std::invalid_argument("a budget of retries must be at least 0, not " + std::to_string(budget(retries, kind)));
    if (!(retries.delay.factor >= 1))
        throw std::invalid_argument("the factor between delays of retries must be at least 1, not " +
                                    std::to_string(retries.delay.factor));
    if (!(retries.delay.jitter >= 0 && retries.delay.jitter <= 1))
        throw std::invalid_argument("the jitter of retries must be from 0 to 1, not " + std::to_string(retries.delay.jitter));
}

}  // namespace mp::pool
