// Futures: of maps, several at once, callbacks, coroutines.
#include <atomic>
#include <coroutine>
#include <csignal>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Future;
using mp::Pool;
using mp::ReturnWhen;

using PoolFuture = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolFuture);

int twice(int x) { return 2 * x; }
int fail_on_three(int x) {
    if (x == 3) throw std::domain_error("three");
    return x;
}
int fail(int) { throw std::domain_error("always"); }
std::unique_ptr<int> owned(int x) { return std::make_unique<int>(x); }

// A task that runs until it is told to end.
struct Gate {
    mp::Event begun, open;
    static int hold(mp::Event begun, mp::Event open, int value) {
        begun.set();
        open.wait();
        return value;
    }
    Future<int> submit(Pool& pool, int value) { return pool.submit(hold, begun, open, value); }
};

// cpython: _TestPool.test_map_async, _TestPool.test_starmap_async
TEST_P(PoolFuture, OfAMapGivesWhatMapReturns) {
    Pool pool(options());
    Future<std::vector<int>> later = pool.map_async(twice, mp::range(0, 1000));
    const auto strings = pool.starmap_async([](int a, const std::string& b) { return b + std::to_string(a); },
                                            std::vector<std::pair<int, std::string>>{{1, "a"}, {2, "b"}});
    const Future<void> nothing = pool.map_async([](int) {}, mp::range(5));
    EXPECT_EQ(later.get(), pool.map(twice, mp::range(0, 1000)));
    EXPECT_EQ(later.get().size(), 1000U) << "get() may be called again";
    EXPECT_EQ(strings.get(), (std::vector<std::string>{"a1", "b2"}));
    nothing.get();
    EXPECT_TRUE(pool.map_async(twice, std::vector<int>()).get().empty());
}

TEST_P(PoolFuture, OfAMapThrowsTheFirstError) {
    Pool pool(options());
    auto later = pool.map_async(fail_on_three, mp::range(0, 10));
    EXPECT_EQ(error_of<std::domain_error>([&] { later.get(); }), "three");
    EXPECT_FALSE(later.outcome());
}

TEST_P(PoolFuture, OfAMapThatIsDroppedOrCancelledLeavesThePoolWhole) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options());
    Gate gate;
    std::vector<Future<int>> held{gate.submit(pool, 1), gate.submit(pool, 2)};
    ASSERT_TRUE(gate.begun.wait_for(patience));
    auto cancelled = pool.map_async(twice, mp::range(0, 100));
    pool.map_async([](std::string s) { return s; }, std::vector<std::string>(100, "dropped"));
    EXPECT_FALSE(cancelled.done());
    EXPECT_TRUE(cancelled.cancel());
    EXPECT_FALSE(cancelled.cancel());
    EXPECT_THROW(cancelled.get(), mp::TaskCancelled);
    gate.open.set();
    EXPECT_EQ(held[0].get() + held[1].get(), 3);
    EXPECT_EQ(pool.map(twice, mp::range(0, 3)), (std::vector{0, 2, 4}));
}

TEST_P(PoolFuture, BringsMoveOnlyAndLargeResults) {
    Pool pool(options(1));
    EXPECT_EQ(*pool.submit(owned, 7).get(), 7);
    const auto large = pool.submit([](std::size_t n) { return std::vector<char>(n, 'x'); }, std::size_t(40) << 20);
    EXPECT_EQ(large.get().size(), std::size_t(40) << 20);
    auto pointers = pool.map_async(owned, mp::range(0, 3)).get();
    EXPECT_EQ(*pointers[2], 2);
}

// cpython: WaitTests (return conditions, already complete, earlier failure, timeout splits sets)
TEST_P(PoolFuture, WaitReturnsWhenItsConditionIsMet) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options());
    Gate gate;
    auto held = gate.submit(pool, 5);
    auto quick = pool.submit(twice, 1);
    const std::vector futures{held, quick, held};
    {
        auto [done, not_done] = mp::wait(futures, ReturnWhen::first_completed);
        ASSERT_EQ(done.size(), 1U);
        EXPECT_EQ(done[0].get(), 2);
        EXPECT_EQ(not_done.size(), 1U) << "each future once";
    }
    {
        const auto [done, not_done] = mp::wait(futures, 10ms);
        EXPECT_EQ(done.size(), 1U);
        EXPECT_EQ(not_done.size(), 1U);
    }
    {
        const auto [done, not_done] = mp::wait(std::vector{held, pool.submit(fail, 1)}, ReturnWhen::first_exception);
        EXPECT_EQ(done.size(), 1U);
        EXPECT_EQ(not_done.size(), 1U);
    }
    gate.open.set();
    const auto [done, not_done] = mp::wait(futures);
    EXPECT_EQ(done.size(), 2U);
    EXPECT_TRUE(not_done.empty());
    EXPECT_TRUE(mp::wait(std::vector<Future<int>>()).done.empty());
}

TEST_P(PoolFuture, WaitTakesFuturesOfSeveralPools) {
    Pool one(options(1)), two(options(1));
    const std::vector futures{one.submit(twice, 1), two.submit(twice, 2)};
    EXPECT_EQ(mp::wait(futures, patience).done.size(), 2U);
    int sum = 0;
    for (auto& future : mp::as_completed(std::vector{one.submit(twice, 1), two.submit(twice, 2)}, patience))
        sum += future.get();
    EXPECT_EQ(sum, 6);
}

TEST_P(PoolFuture, WaitTakesFuturesBesideOtherObjects) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options(1));
    mp::Queue<int> queue;
    Gate gate;
    auto held = gate.submit(pool, 5);
    EXPECT_TRUE(mp::wait({queue, held}, 10ms).empty());
    queue.put(1);
    EXPECT_EQ(mp::wait({queue, held}, patience), std::vector<std::size_t>{0});
    queue.get();
    gate.open.set();
    EXPECT_EQ(mp::wait({queue, held}, patience), std::vector<std::size_t>{1});
    EXPECT_EQ(mp::wait({queue, held}, patience), std::vector<std::size_t>{1}) << "done stays done";
}

// cpython: AsCompletedTests (finished first, duplicates once)
TEST_P(PoolFuture, AsCompletedGivesFinishedOnesFirstAndEachOnce) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options());
    Gate gate;
    auto held = gate.submit(pool, 5);
    auto quick = pool.submit(twice, 1);
    quick.wait();
    std::vector<int> order;
    for (auto& future : mp::as_completed(std::vector{held, quick, held, quick})) {
        order.push_back(future.get());
        gate.open.set();
    }
    EXPECT_EQ(order, (std::vector{2, 5}));
}

// cpython: AsCompletedTests (timeout delivers finished ones then raises, the message counts unfinished of total)
TEST_P(PoolFuture, AsCompletedSaysHowManyAreLeftWhenTimeIsUp) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options());
    Gate gate;
    auto held = gate.submit(pool, 5);
    auto quick = pool.submit(twice, 1);
    std::vector<int> order;
    const auto text = error_of<mp::TaskTimeout>([&] {
        for (auto& future : mp::as_completed(std::vector{held, quick}, 300ms)) order.push_back(future.get());
    });
    EXPECT_EQ(order, std::vector{2});
    EXPECT_EQ(text, "1 of 2 futures are not done");
    gate.open.set();
}

// cpython: WaitTests (heavy stress does not hang)
TEST_P(PoolFuture, ManyThreadsMayWaitForTheSameFutures) {
    Pool pool(options());
    std::vector<Future<int>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(twice, i));
    std::atomic<int> seen{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&, left = futures]() mutable {
                while (!left.empty()) {
                    auto [done, not_done] = mp::wait(left, patience, ReturnWhen::first_completed);
                    if (done.empty()) return;
                    seen += static_cast<int>(done.size());
                    left = std::move(not_done);
                }
            });
    }
    EXPECT_EQ(seen, 400);
}

// cpython: _TestPool.test_map_async_callbacks
TEST_P(PoolFuture, CallbacksOfAMapGetAllOfItOrItsErrorOnce) {
    std::vector<std::vector<int>> results;
    std::vector<std::string> errors;
    {
        Pool pool(options());
        pool.map_async(twice, mp::range(0, 3)).add_done_callback([&](Future<std::vector<int>>& all) { results.push_back(all.get()); });
        pool.map_async(fail_on_three, mp::range(0, 10)).add_done_callback([&](Future<std::vector<int>>& all) {
            errors.push_back(error_of<std::domain_error>([&] { all.get(); }));
        });
    }
    EXPECT_EQ(results, (std::vector<std::vector<int>>{{0, 2, 4}}));
    EXPECT_EQ(errors, std::vector<std::string>{"three"});
}

TEST_P(PoolFuture, WhatACallbackHoldsMayUseThePoolWhenItGoes) {
    std::atomic<int> called{0};
    {
        Pool pool(options());
        auto first = pool.submit(twice, 1);
        first.get();
        const auto and_then = [first, &called](void*) mutable { first.add_done_callback([&](Future<int>&) { ++called; }); };
        pool.submit(twice, 2).add_done_callback([held = std::shared_ptr<void>(nullptr, and_then)](Future<int>&) {});
    }
    EXPECT_EQ(called, 1);
}

// cpython: FutureTests (callback on result, on error, on cancel, when already done)
TEST_P(PoolFuture, CallbacksRunOnOneThreadWhateverCameOfTheTask) {
    MP_SKIP_UNLESS(is_parallel);
    std::atomic<int> called{0};
    std::set<std::thread::id> threads;
    {
        Pool pool(options(1));
        Gate gate;
        auto held = gate.submit(pool, 5);
        auto failing = pool.submit(fail, 1);
        auto waiting = pool.submit(twice, 1);
        for (auto& future : {held, failing, waiting})
            future.add_done_callback([&](Future<int>& done) {
                EXPECT_TRUE(done.done());
                threads.insert(std::this_thread::get_id());
                ++called;
            });
        EXPECT_TRUE(waiting.cancel());
        gate.open.set();
        held.get();
        held.add_done_callback([&, once = std::make_unique<int>(1)] {
            threads.insert(std::this_thread::get_id());
            called += *once;
        });
    }
    EXPECT_EQ(called, 4) << "leaving the scope waits for callbacks";
    EXPECT_EQ(threads.size(), 1U);
    EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

// Nobody waits for the pool while its callbacks are awaited.
TEST_P(PoolFuture, CallbacksComeWhileNobodyWaits) {
    Pool pool(options());
    std::atomic<int> called{0};
    for (int i = 0; i < 500; ++i) pool.submit(twice, i).add_done_callback([&] { ++called; });
    EXPECT_TRUE(eventually([&] { return called == 500; }));
}

// cpython: FutureTests (callback that throws is logged and later ones still run)
TEST_P(PoolFuture, ACallbackThatThrowsIsReportedAndLaterOnesStillRun) {
    ::testing::internal::CaptureStderr();
    int called = 0;
    {
        auto given = options(1);
        given.name = "careless";
        Pool pool(given);
        auto future = pool.submit(twice, 1);
        future.add_done_callback([] { throw std::runtime_error("oops"); });
        future.add_done_callback([&] { ++called; });
    }
    const std::string text = ::testing::internal::GetCapturedStderr();
    EXPECT_THAT(text, ::testing::HasSubstr("a callback of pool \"careless\" failed: std::runtime_error: oops"));
    EXPECT_EQ(called, 1);
}

TEST_P(PoolFuture, ACallbackMayUseThePool) {
    Pool pool(options(1));
    std::atomic<int> sum{0};
    pool.submit(twice, 1).add_done_callback([&](Future<int>& first) { sum = first.get() + pool.apply(twice, 10); });
    EXPECT_TRUE(eventually([&] { return sum == 22; }));
}

TEST_P(PoolFuture, CallbacksAfterThePoolHasEndedRunAtOnce) {
    std::optional<Future<int>> future;
    {
        Pool pool(options(1));
        future = pool.submit(twice, 1);
    }
    std::thread::id where;
    future->add_done_callback([&] { where = std::this_thread::get_id(); });
    EXPECT_EQ(where, std::this_thread::get_id());
}

// The smallest coroutine: begins at once, is done when it says so.
struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

Detached sum_up(Pool& pool, std::atomic<int>& result) {
    int sum = 0;
    for (int i = 0; i < 50; ++i) sum += co_await pool.submit(twice, i);
    try {
        co_await pool.submit(fail, 1);
    } catch (const std::domain_error&) {
        sum += 1;
    }
    for (const int value : co_await pool.map_async(twice, mp::range(0, 3))) sum += value;
    co_await pool.submit([] {});
    result = sum;
}

TEST_P(PoolFuture, CanBeAwaitedByACoroutine) {
    Pool pool(options());
    std::atomic<int> result{0};
    std::atomic<int> other{0};
    sum_up(pool, result);
    sum_up(pool, other);
    EXPECT_TRUE(eventually([&] { return result == 2457 && other == 2457; }));
}

TEST_P(PoolFuture, CallbacksComeWhenAWorkerDies) {
    MP_SKIP_UNLESS(isolates_crashes);
    MP_SKIP_UNDER_SANITIZERS("the crash is raw");
    Pool pool(options(1));
    std::atomic<bool> lost{false};
    pool.submit([] { ::raise(SIGKILL); }).add_done_callback([&](Future<void>& future) {
        lost = future.outcome().error().worker_lost() != nullptr;
    });
    EXPECT_TRUE(eventually([&] { return lost.load(); }));
}

}  // namespace
