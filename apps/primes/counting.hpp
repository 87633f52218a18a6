// The work itself: counting the primes of a closed range.
#pragma once

#include <cstdint>
#include <string_view>

namespace primes {

enum class Method : std::uint8_t {
    trial,  ///< divides by everything from 2 up to the value itself, until something divides: slow on purpose
    sieve,  ///< libprimesieve, on one thread
};

std::string_view name_of(Method method);

/// Primes in [first, last], both included; none when last < first.
std::uint64_t count_primes(Method method, std::uint64_t first, std::uint64_t last);

}  // namespace primes
