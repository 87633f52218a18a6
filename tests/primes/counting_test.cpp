#include "primes/counting.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <ostream>

namespace primes {
static void PrintTo(Method method, std::ostream* out) { *out << name_of(method); }
}  // namespace primes

namespace {

using primes::count_primes;
using primes::Method;

class CountPrimes : public testing::TestWithParam<Method> {};
INSTANTIATE_TEST_SUITE_P(Methods, CountPrimes, testing::Values(Method::trial, Method::sieve),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(CountPrimes, IncludesBothBounds) {
    EXPECT_EQ(count_primes(GetParam(), 2, 2), 1u);
    EXPECT_EQ(count_primes(GetParam(), 3, 7), 3u);
    EXPECT_EQ(count_primes(GetParam(), 4, 4), 0u);
    EXPECT_EQ(count_primes(GetParam(), 0, 1), 0u);
    EXPECT_EQ(count_primes(GetParam(), 0, 2), 1u);
    EXPECT_EQ(count_primes(GetParam(), 7, 3), 0u);
}

TEST_P(CountPrimes, KnowsTheTutorialsQuarters) {
    EXPECT_EQ(count_primes(GetParam(), 1, 20000), 2262u);
    EXPECT_EQ(count_primes(GetParam(), 20001, 40000), 1941u);
    EXPECT_EQ(count_primes(GetParam(), 40001, 60000), 1854u);
    EXPECT_EQ(count_primes(GetParam(), 60001, 80000), 1780u);
}

TEST(CountPrimesByTrial, GoesOnBeyond32Bits) {
    // 2^32 + 15 is the first prime above 2^32; all between has a small divisor.
    EXPECT_EQ(count_primes(Method::trial, 4294967292u, 4294967310u), 0u);
    EXPECT_EQ(count_primes(Method::trial, 18446744073709551614u, 18446744073709551615u), 0u);
}

TEST(CountPrimesBySieve, ReachesTheHighestNumbers) {
    constexpr auto highest = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(count_primes(Method::sieve, highest - 58, highest), 1u);  // 2^64 - 59 is prime
}

}  // namespace
