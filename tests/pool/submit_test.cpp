// submit, apply and futures.
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pool/task_under_way.hpp"
#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;

using PoolSubmit = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolSubmit);
using PoolSubmitOnce = PoolTest;

int same(int x) { return x; }
int divide(int a, int b) {
    if (b == 0) throw std::domain_error("division by zero");
    return a / b;
}
struct Counter {
    int at = 0;
    int next(int by) const { return at + by; }
};

// What was handed to a worker beforehand is not bound to it.
TEST_F(PoolSubmitOnce, QuickTasksAndMapsDoNotWaitBehindALongOne) {
    Pool pool(2);
    std::vector<mp::Future<int>> quick;
    for (int i = 0; i < 3000; ++i) quick.push_back(pool.submit(same, i));  // teaches the pool that tasks are short
    for (auto& future : quick) future.get();
    quick.clear();
    TaskUnderWay held(pool, "held");
    for (int i = 0; i < 3000; ++i) quick.push_back(pool.submit(same, i));
    for (int i = 0; i < 3000; ++i) {
        ASSERT_TRUE(quick[static_cast<std::size_t>(i)].wait_for(std::chrono::seconds(60))) << i;
        EXPECT_EQ(quick[static_cast<std::size_t>(i)].get(), i);
    }
    EXPECT_EQ(pool.map(same, mp::range(0, 1000)).size(), 1000U);
    EXPECT_FALSE(held.future().done());
    held.end();
}

// cpython: _TestPool.test_apply
// cpython: _TestPool.test_async
// cpython: ExecutorTest: submit
TEST_P(PoolSubmit, GivesResultsOfFunctionsMembersAndClosures) {
    Pool pool(options());
    EXPECT_EQ(pool.apply(divide, 7, 2), 3);
    const int k = 5;
    EXPECT_EQ(pool.submit([k](int x) { return k + x; }, 1).get(), 6);
    EXPECT_EQ(pool.apply(&Counter::next, Counter{3}, 4), 7);
    EXPECT_EQ(pool.apply([](const std::string& text) { return text + "?"; }, "literal"), "literal?");
    EXPECT_EQ(pool.apply([] { return std::make_unique<int>(3); }).operator*(), 3);
    EXPECT_EQ(pool.apply([](std::unique_ptr<int> p) { return *p; }, std::make_unique<int>(9)), 9);
    auto nothing = pool.submit([] {});
    nothing.get();
    static_assert(std::is_void_v<decltype(nothing.get())>);
    EXPECT_TRUE(nothing.done());
    EXPECT_EQ(nothing.outcome().has_value(), true);
}

TEST_P(PoolSubmit, GivesTheSameResultAsOftenAsAsked) {
    Pool pool(options());
    const auto future = pool.submit([](int n) { return std::string(static_cast<std::size_t>(n), 'x'); }, 100'000);
    const auto copy = future;
    EXPECT_EQ(future.get(), copy.get());
    EXPECT_EQ(future.get().size(), 100'000U);
}

TEST_P(PoolSubmit, RunsTasksInTheOrderOfSubmissionOnOneWorker) {
    Pool pool(options(1));
    mp::Value<int> calls(0);
    const auto count = mp::bind([](mp::Value<int>& value) { return value.fetch_add(1); }, calls);
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 500; ++i) futures.push_back(pool.submit(count));
    for (int i = 0; i < 500; ++i) ASSERT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
}

// cpython: _TestPool.test_async_timeout, FutureTests: result timeout (a wait that ran out is a return value, not an error)
TEST_P(PoolSubmit, WaitForTellsWhetherItIsDone) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options(1));
    TaskUnderWay held(pool, "held");
    const auto& future = held.future();
    EXPECT_FALSE(future.done());
    EXPECT_FALSE(future.wait_for(0s));
    EXPECT_FALSE(future.wait_for(-1s));
    EXPECT_FALSE(future.wait_for(20ms));
    held.let_go();
    EXPECT_TRUE(future.wait_for(60s));
    EXPECT_TRUE(future.done());
    EXPECT_TRUE(future.wait_for(0s));
}

// Counts the objects of its type in this process.
struct Counted {
    static inline std::atomic<int> alive = 0;
    std::string load = std::string(100, 'x');
    Counted() { ++alive; }
    Counted(const Counted& other) : load(other.load) { ++alive; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --alive; }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(load);
    }
};
Counted pass(const Counted& given) { return given; }

// cpython: _TestPool.test_release_task_refs
// cpython: ExecutorTest, AsCompletedTests: arguments, results and yielded futures are released after use
// cpython: ProcessPoolExecutorTest: argument objects are released in the worker
TEST_P(PoolSubmit, ArgumentsAndResultsAreReleasedOnBothSides) {
    Pool pool(options(1));
    for (int i = 0; i < 10; ++i) EXPECT_EQ(pool.submit(pass, Counted()).get().load.size(), 100U);
    EXPECT_EQ(pool.map(pass, std::vector<Counted>(10)).size(), 10U);
    for (const Counted& one : pool.imap(pass, std::vector<Counted>(10))) EXPECT_EQ(one.load.size(), 100U);
    std::vector<mp::Future<Counted>> futures;
    for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(pass, Counted()));
    for (auto& future : mp::as_completed(std::move(futures), patience)) EXPECT_EQ(future.get().load.size(), 100U);
    EXPECT_EQ(pool.apply([] { return Counted::alive.load(); }), 0) << "in the worker";
    EXPECT_EQ(Counted::alive.load(), 0) << "in the caller";
}

// cpython: FutureTests: result after cancel raises, cancel only while pending (here also while it runs: PoolCancel)
TEST_P(PoolSubmit, CancelTakesBackWhatHasNotBegun) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options(1));
    TaskUnderWay held(pool, "held");
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(same, i));
    EXPECT_TRUE(futures[99].cancel());
    EXPECT_FALSE(futures[99].cancel());
    EXPECT_TRUE(futures[99].done());
    error_of<mp::TaskCancelled>([&] { futures[99].get(); });
    EXPECT_TRUE(futures[99].outcome().error().as<mp::TaskCancelled>());
    held.let_go();
    for (int i = 0; i < 99; ++i) ASSERT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
    EXPECT_FALSE(futures[0].cancel());
}

TEST_P(PoolSubmit, PassesHandlesAsArgumentsAndResults) {
    Pool pool(options());
    mp::Value<int> value(1);
    std::vector<mp::Future<void>> futures;
    for (int i = 0; i < 200; ++i) futures.push_back(pool.submit([](mp::Value<int> v) { ++v; }, value));
    for (auto& future : futures) future.get();
    EXPECT_EQ(value.load(), 201);
    std::vector<mp::Future<mp::Value<int>>> made;
    for (int i = 0; i < 50; ++i) made.push_back(pool.submit([](int x) { return mp::Value<int>(x); }, i));
    for (int i = 49; i >= 0; --i) EXPECT_EQ(made[static_cast<std::size_t>(i)].get().load(), i);
}

TEST_P(PoolSubmit, AFutureOutlivesItsPool) {
    std::optional<mp::Future<std::string>> small, large;
    {
        Pool pool(options());
        small = pool.submit([] { return std::string("small"); });
        large = pool.submit([] { return std::string(1'000'000, 'l'); });
    }
    EXPECT_TRUE(small->done());
    EXPECT_EQ(small->get(), "small");
    EXPECT_EQ(large->get().size(), 1'000'000U);
    EXPECT_FALSE(large->cancel());
}

TEST_F(PoolSubmitOnce, TasksRunOnThoughNobodyAsksForTheirResults) {
    Pool pool(2);
    mp::Value<int> ran(0);
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 1000; ++i) static_cast<void>(pool.submit([](mp::Value<int> count) { ++count; }, ran));
        ASSERT_TRUE(eventually([&] { return ran.load() == 1000 * (round + 1); })) << ran.load() << " in round " << round;
    }
}

TEST_F(PoolSubmitOnce, AFewTasksRunOnThoughNobodyAsks) {
    Pool pool(2);
    mp::Value<int> ran(0);
    const auto count = mp::bind([](mp::Value<int>& c, int) { ++c; }, ran);
    for (int round = 1; round <= 3000; ++round) {
        for (int i = 0; i < 5; ++i) static_cast<void>(pool.submit(count, i));
        ASSERT_TRUE(eventually([&] { return ran.load() == 5 * round; }, 10s)) << ran.load() << " in round " << round;
    }
}

TEST_F(PoolSubmitOnce, ResultsNobodyFetchesBlockNobody) {
    Pool pool(2);
    const auto text = [](int n) { return std::string(8000, static_cast<char>('a' + n % 26)); };
    std::vector<mp::Future<std::string>> futures;
    for (int i = 0; i < 20'000; ++i) futures.push_back(pool.submit(text, i));
    EXPECT_TRUE(futures.back().wait_for(patience));
    EXPECT_EQ(futures.front().get().front(), 'a');
    for (int i = 0; i < 20'000; i += 777) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), text(i));
    std::vector<mp::Future<std::string>> large;
    for (int i = 0; i < 200; ++i) large.push_back(pool.submit([] { return std::string(1 << 20, 'x'); }));
    large.erase(large.begin(), large.begin() + 150);
    for (auto& future : large) EXPECT_EQ(future.get().size(), 1U << 20);
}

TEST_F(PoolSubmitOnce, LargeArgumentsAreGivenBack) {
    Pool pool(2);
    const std::string argument(4 << 20, 'x');
    for (int i = 0; i < 300; ++i)
        ASSERT_EQ(pool.submit([](const std::string& text) { return text.size(); }, argument).get(), argument.size());
}

TEST_P(PoolSubmit, ThreadsMaySubmitAndMapAtOnce) {
    Pool pool(options(3));
    std::atomic<int> wrong = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 8; ++t) {
            threads.emplace_back([&, t] {
                for (int round = 0; round < 30; ++round) {
                    std::vector<mp::Future<int>> futures;
                    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(divide, 100 * t, i % 10));
                    const auto mapped = pool.map(same, mp::range(50));
                    for (int i = 0; i < 50; ++i) wrong += mapped[static_cast<std::size_t>(i)] != i;
                    for (int i = 99; i >= 0; --i) {
                        try {
                            wrong += futures[static_cast<std::size_t>(i)].get() != 100 * t / (i % 10 ? i % 10 : 1) || i % 10 == 0;
                        } catch (const std::domain_error&) {
                            wrong += i % 10 != 0;
                        }
                    }
                }
            });
        }
    }
    EXPECT_EQ(wrong, 0);
}

TEST_F(PoolSubmitOnce, ManyDifferentClosuresDoNotFillTheWorkers) {
    Pool pool(2);
    for (int k = 0; k < 5000; ++k) ASSERT_EQ(pool.submit([k](int x) { return k + x; }, 1).get(), k + 1);
    std::vector<mp::Future<int>> futures;
    for (int k = 0; k < 5000; ++k) futures.push_back(pool.submit([k](int x) { return k - x; }, 1));
    for (int k = 0; k < 5000; ++k) ASSERT_EQ(futures[static_cast<std::size_t>(k)].get(), k - 1);
    futures.clear();
    for (int k = 0; k < 3000; ++k) futures.push_back(pool.submit(mp::bind(divide, k), 1));
    for (int k = 0; k < 3000; ++k) ASSERT_EQ(futures[static_cast<std::size_t>(k)].get(), k);
}

// cpython: ProcessPoolExecutorTest: idle workers are reused
TEST_F(PoolSubmitOnce, IdleWorkersAreUsedAgain) {
    Pool pool(4);
    std::set<pid_t> used;
    for (int i = 0; i < 50; ++i) used.insert(pool.apply([] { return ::getpid(); }));
    EXPECT_LE(used.size(), 4U);
    const auto pids = pool.pids();
    for (const pid_t pid : used) EXPECT_NE(std::find(pids.begin(), pids.end(), pid), pids.end());
}

}  // namespace
