// The work that tasks of the benchmarks do: nothing, or a stretch of time that no compiler can shorten.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace bench {

// One copy for all who call it, at one place in a cache line: inlined, two copies of so short a loop differ by a factor
// of two.
[[gnu::noinline, gnu::aligned(64)]] inline void spin(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) asm volatile("" : : : "memory");
}

/// How many turns of spin() take a microsecond: measured once, in the calling process; workers are handed the count.
inline std::uint64_t spins_per_microsecond() {
    static const std::uint64_t measured = [] {
        constexpr std::uint64_t count = 5'000'000;
        double best = 1e9;
        for (int i = 0; i < 5; ++i) {
            const auto begin = std::chrono::steady_clock::now();
            spin(count);
            best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        }
        return static_cast<std::uint64_t>(static_cast<double>(count) / (best * 1e6));
    }();
    return measured;
}

inline int busy(std::uint64_t spins) {
    spin(spins);
    return 1;
}

inline int empty(int x) { return x; }

}  // namespace bench
