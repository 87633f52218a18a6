#include "primes/counting.hpp"

#include <algorithm>
#include <limits>

#include <primesieve.hpp>

namespace primes {
namespace {

template <class T>
bool is_prime(T value) {
    if (value < 2) return false;
    for (T divisor = 2; divisor < value; ++divisor)
        if (value % divisor == 0) return false;
    return true;
}

/// [first, last] in the narrowest type that holds it: a 32-bit division costs less than a 64-bit one.
template <class T>
std::uint64_t count_by_trial(T first, T last) {
    std::uint64_t count = 0;
    for (T value = first;; ++value) {
        count += is_prime(value);
        if (value == last) return count;  // before ++, which would wrap at the highest value
    }
}

std::uint64_t count_by_trial(std::uint64_t first, std::uint64_t last) {
    constexpr std::uint64_t narrow = std::numeric_limits<std::uint32_t>::max();
    std::uint64_t count = 0;
    if (first <= narrow) {
        const auto end = static_cast<std::uint32_t>(std::min(last, narrow));
        count += count_by_trial<std::uint32_t>(static_cast<std::uint32_t>(first), end);
    }
    if (last > narrow) count += count_by_trial<std::uint64_t>(std::max(first, narrow + 1), last);
    return count;
}

}  // namespace

std::string_view name_of(Method method) { return method == Method::trial ? "trial" : "sieve"; }

std::uint64_t count_primes(Method method, std::uint64_t first, std::uint64_t last) {
    if (last < first) return 0;
    if (method == Method::trial) return count_by_trial(first, last);
    // Its own default is a thread per CPU, in each of our workers.
    primesieve::set_num_threads(1);
    return primesieve::count_primes(first, last);
}

}  // namespace primes
