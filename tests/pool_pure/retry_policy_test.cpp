#include "pool/retry_policy.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <stdexcept>

namespace {

using namespace std::chrono_literals;
using mp::Retries;
using mp::RetryDelay;
using mp::pool::delay_before;
using mp::pool::FailureCounts;
using mp::pool::FailureKind;
using mp::pool::may_retry;

TEST(RetryPolicy, NothingIsTriedAgainUnlessAskedFor) {
    for (const auto kind : {FailureKind::crash, FailureKind::exception, FailureKind::timeout, FailureKind::memory})
        EXPECT_FALSE(may_retry(Retries{}, {}, kind));
}

TEST(RetryPolicy, EachKindOfFailureHasABudgetOfItsOwn) {
    const Retries retries{.crash = 1, .exception = 2};
    FailureCounts counts;
    EXPECT_TRUE(may_retry(retries, counts, FailureKind::exception));
    counts.of[static_cast<int>(FailureKind::exception)] = 2;
    EXPECT_FALSE(may_retry(retries, counts, FailureKind::exception));
    EXPECT_TRUE(may_retry(retries, counts, FailureKind::crash));
    EXPECT_FALSE(may_retry(retries, counts, FailureKind::memory));
    EXPECT_EQ(counts.attempt(), 3);
}

TEST(RetryPolicy, DelaysGrowUpToALimit) {
    const RetryDelay delay{.first = 10ms, .factor = 3, .most = 50ms, .jitter = 0};
    EXPECT_EQ(delay_before(delay, 2, 0, 0), 10ms);
    EXPECT_EQ(delay_before(delay, 3, 0, 0), 30ms);
    EXPECT_EQ(delay_before(delay, 4, 0, 0), 50ms);
    EXPECT_EQ(delay_before(delay, 100'000, 0, 0), 50ms);
    EXPECT_EQ(delay_before(RetryDelay{}, 2, 0, 0), 0ms);
}

TEST(RetryPolicy, JitterOnlyShortensAndIsTheSameInEachRun) {
    const RetryDelay delay{.first = 1s, .jitter = 0.25};
    std::set<std::chrono::nanoseconds> seen;
    for (std::uint64_t task = 0; task < 100; ++task) {
        const auto wait = delay_before(delay, 2, 7, task);
        EXPECT_LE(wait, 1s);
        EXPECT_GE(wait, 750ms);
        EXPECT_EQ(wait, delay_before(delay, 2, 7, task));
        seen.insert(wait);
    }
    EXPECT_GT(seen.size(), 90U);
}

TEST(RetryPolicy, RefusesWhatMakesNoSense) {
    EXPECT_THROW(mp::pool::check({.crash = -1}), std::invalid_argument);
    EXPECT_THROW(mp::pool::check({.delay = {.factor = 0.5}}), std::invalid_argument);
    EXPECT_THROW(mp::pool::check({.delay = {.jitter = 2}}), std::invalid_argument);
    EXPECT_NO_THROW(mp::pool::check({.crash = 3, .delay = {.first = 1ms}}));
}

}  // namespace
