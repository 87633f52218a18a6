// Further attempts, their delays, and who decides.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "pool/retry_policy.hpp"
#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::Retries;
using mp::WorkerLost;

using PoolRetry = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolRetry);
using PoolRetryOnce = PoolTest;

int fail_at_first(mp::Value<int> calls, int times) {
    const int call = calls += 1;
    if (call <= times) throw std::runtime_error("call " + std::to_string(call));
    return call;
}
void kill_itself(mp::Value<int> calls) {
    calls += 1;
    ::kill(::getpid(), SIGKILL);
}
void overrun(mp::Value<int> calls) {
    calls += 1;
    while (true) ::pause();
}

TEST_F(PoolRetryOnce, EachKindOfFailureHasItsOwnBudget) {
    Pool pool({.workers = 1, .retries = {.crash = 1, .exception = 2}, .stop_ladder = {.token = 0s, .terminate = 0s}});
    mp::Value<int> calls(0);
    EXPECT_EQ(pool.apply(fail_at_first, calls, 2), 3);
    calls.store(0);
    EXPECT_EQ(error_of<std::runtime_error>([&] { pool.apply(fail_at_first, calls, 3); }), "call 3");
    calls.store(0);
    error_of<WorkerLost>([&] { pool.apply(kill_itself, calls); });
    EXPECT_EQ(calls.load(), 2);
    calls.store(0);
    error_of<mp::TaskTimeout>([&] { pool.apply({.task_timeout = 20ms, .retries = Retries{.crash = 9, .timeout = 2}}, overrun, calls); });
    EXPECT_EQ(calls.load(), 3);
    calls.store(0);
    error_of<mp::TaskTimeout>([&] { pool.apply({.task_timeout = 20ms}, overrun, calls); });
    EXPECT_EQ(calls.load(), 1);
}

TEST_F(PoolRetryOnce, APoisonTaskCostsNoMoreWorkersThanItsBudgetAndNoNeighbour) {
    Pool pool(2);
    mp::Array<int> runs(64);
    const auto outcomes = pool.map_outcomes(mp::bind(
                                                [](mp::Array<int> counts, int x) {
                                                    counts.span()[static_cast<std::size_t>(x)] += 1;
                                                    if (x == 13) ::kill(::getpid(), SIGKILL);
                                                    return x;
                                                },
                                                runs),
                                            mp::range(0, 64), {.retries = Retries{.crash = 2, .delay = {.first = 5ms}}});
    for (int i = 0; i < 64; ++i) {
        EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].has_value(), i != 13);
        EXPECT_EQ(runs.span()[static_cast<std::size_t>(i)], i == 13 ? 3 : 1);
    }
    EXPECT_EQ(outcomes[13].error().worker_lost()->attempt(), 3);
}

TEST_P(PoolRetry, WaitsBeforeTheNextAttempt) {
    Pool pool(options(1));
    mp::Value<int> calls(0);
    const auto start = std::chrono::steady_clock::now();
    const Retries retries{.exception = 2, .delay = {.first = 40ms, .factor = 2, .jitter = 0}};
    EXPECT_EQ(pool.apply({.retries = retries}, fail_at_first, calls, 2), 3);
    EXPECT_GE(std::chrono::steady_clock::now() - start, 120ms);
    calls.store(0);
    const auto results = pool.map(mp::bind(fail_at_first, calls), std::vector{2}, {.retries = retries});
    EXPECT_EQ(results, std::vector{3});
}

TEST_P(PoolRetry, ATaskThatWaitsForItsNextAttemptCanBeCancelledAndLeft) {
    MP_SKIP_UNLESS(is_parallel);
    mp::Value<int> calls(0);
    const mp::CallOptions patient{.retries = Retries{.exception = 1, .delay = {.first = 1h, .most = 1h}}};
    Pool pool(options(1));
    auto waiting = pool.submit(patient, fail_at_first, calls, 1);
    ASSERT_TRUE(eventually([&] { return pool.stats().retried == 1; }));
    EXPECT_EQ(calls.load(), 1);
    EXPECT_TRUE(waiting.cancel());
    EXPECT_TRUE(waiting.done());
    calls.store(0);
    auto other = pool.submit(patient, fail_at_first, calls, 1);
    auto map = pool.map_async(mp::bind(fail_at_first, calls), std::vector{9, 9, 9}, patient);
    ASSERT_TRUE(eventually([&] { return pool.stats().retried == 5; }));
    EXPECT_EQ(calls.load(), 4);
    pool.terminate();
    EXPECT_TRUE(other.outcome().error().as<mp::TaskCancelled>());
    error_of<mp::TaskCancelled>([&] { map.get(); });
}

// Neither the element that waits nor the others of its map are held up by each other.
TEST_P(PoolRetry, AnElementThatWaitsForItsNextAttemptHoldsUpNoOther) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options(1));
    mp::Value<int> calls(0);
    auto map = pool.map_async(mp::bind(fail_at_first, calls), std::vector{1, 1, 1, 1},
                              {.retries = Retries{.exception = 1, .delay = {.first = 1h, .most = 1h}}});
    ASSERT_TRUE(eventually([&] { return calls.load() == 4; }));
    EXPECT_EQ(pool.apply([] { return 7; }), 7);
    EXPECT_TRUE(map.cancel());
    error_of<mp::TaskCancelled>([&] { map.get(); });
}

// With a seed for which chance leaves out nearly all of an hour.
TEST_P(PoolRetry, LeavesOutAShareOfTheWaitByChanceWhichTheSeedDecides) {
    const Retries retries{.exception = 1, .delay = {.first = 1h, .most = 1h, .jitter = 1}};
    std::uint64_t seed = 0;
    while (mp::pool::delay_before(retries.delay, 2, seed, 0) > 20ms) ++seed;
    auto given = options(1);
    given.seed = seed;
    Pool pool(given);
    mp::Value<int> calls(0);
    auto map = pool.map_async(mp::bind(fail_at_first, calls), std::vector{1}, {.retries = retries});
    EXPECT_TRUE(map.wait_for(patience));
    if (!map.done()) pool.terminate();
    else EXPECT_EQ(map.get(), std::vector{2});
}

TEST_P(PoolRetry, AFunctionOfTheCallerDecides) {
    Pool pool(options());
    mp::Value<int> calls(0);
    std::atomic<int> asked = 0;
    Retries retries{.exception = 9};
    retries.when = [&](const mp::Failure& failure) {
        ++asked;
        return std::string(failure.what()) == "call 1";
    };
    EXPECT_EQ(error_of<std::runtime_error>([&] { pool.apply({.retries = retries}, fail_at_first, calls, 5); }), "call 2");
    EXPECT_EQ(asked, 2);
    calls.store(0);
    const auto outcomes = pool.map_outcomes(mp::bind(fail_at_first, calls), std::vector{1}, {.retries = retries});
    EXPECT_EQ(outcomes[0].value(), 2);
    // It may use the pool, and one that throws says no.
    calls.store(0);
    retries.when = [&](const mp::Failure&) -> bool {
        pool.submit([] {});
        throw std::runtime_error("no");
    };
    EXPECT_EQ(error_of<std::runtime_error>([&] { pool.apply({.retries = retries}, fail_at_first, calls, 5); }), "call 1");
}

TEST_P(PoolRetry, BudgetsBelowZeroAreRefused) {
    error_of<std::invalid_argument>([&] {
        auto given = options(1);
        given.retries.crash = -1;
        Pool pool(given);
    });
    Pool pool(options(1));
    error_of<std::invalid_argument>([&] { pool.submit({.retries = Retries{.exception = -1}}, [] {}); });
}

}  // namespace
