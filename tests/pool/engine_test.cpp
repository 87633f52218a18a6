// What every engine promises: the same calls, the same errors.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::PoolOptions;

using PoolEngine = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolEngine);

int twice(int x) { return 2 * x; }
int fail_on_three(int x) {
    if (x == 3) throw std::domain_error("three");
    return x;
}
struct Loud {
    explicit Loud(int n) : text(std::to_string(n)) {}
    Loud() = default;
    std::string text;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(text);
    }
};

TEST_P(PoolEngine, MapsInInputOrder) {
    Pool pool(options());
    EXPECT_EQ(pool.map(twice, std::vector{1, 2, 3}), (std::vector{2, 4, 6}));
    EXPECT_EQ(pool.map(twice, mp::range(0, 10'000)).back(), 19'998);
    EXPECT_EQ(pool.map([](const std::string& s) { return s + "!"; }, std::vector<std::string>{"a", "b"}),
              (std::vector<std::string>{"a!", "b!"}));
    EXPECT_EQ(pool.starmap([](int a, int b) { return a * b; }, std::vector{std::pair(2, 3)}), std::vector{6});
    EXPECT_EQ(pool.map([](int x) { return Loud(x); }, mp::range(3))[2].text, "2");
    EXPECT_TRUE(pool.map(twice, std::vector<int>()).empty());
    pool.map([](int) {}, mp::range(10));
    EXPECT_EQ(pool.map(twice, mp::range(0, 10), {.chunk_size = 3}).size(), 10U);
}

TEST_P(PoolEngine, SubmitsStreamsReducesAndRunsInPlace) {
    Pool pool(options());
    EXPECT_EQ(pool.submit(twice, 4).get(), 8);
    EXPECT_EQ(*pool.submit([](int x) { return std::make_unique<int>(x); }, 5).get(), 5);
    EXPECT_EQ(pool.apply([](const std::string& s) { return s.size(); }, "four"), 4U);
    int sum = 0;
    for (int y : pool.imap(twice, mp::range(0, 100))) sum += y;
    for (int y : pool.imap_unordered(twice, mp::range(0, 100))) sum += y;
    EXPECT_EQ(sum, 2 * 9'900);
    EXPECT_EQ(pool.reduce(twice, std::plus<>{}, 0, mp::range(0, 5'000)), 24'995'000);
    EXPECT_EQ(pool.reduce([](int x) { return std::to_string(x); }, std::plus<>{}, std::string(), mp::range(0, 5)),
              "01234");
    mp::Array<int> numbers(1'000);
    pool.for_each([](int& x) { x = 7; }, numbers.span());
    EXPECT_EQ(std::ranges::count(numbers.span(), 7), 1'000);
    EXPECT_EQ(mp::wait(std::vector{pool.submit(twice, 1), pool.submit(twice, 2)}).done.size(), 2U);
    EXPECT_EQ(pool.map_async(twice, mp::range(3)).get(), (std::vector{0, 2, 4}));
}

TEST_P(PoolEngine, ArgumentsAndFunctionsAreCopies) {
    Pool pool(options(1));
    std::vector<int> own{1, 2, 3};
    pool.submit([](std::vector<int> v) { v.clear(); }, own).get();
    EXPECT_EQ(own.size(), 3U);
    auto bound = mp::bind([](std::vector<int>& v, int x) { return v.push_back(x), v.size(); }, own);
    pool.map(bound, mp::range(3));
    EXPECT_EQ(std::get<0>(bound.arguments()).size(), 3U);
}

TEST_P(PoolEngine, ErrorsArriveAsTheyAreAndAsRemote) {
    Pool pool(options());
    EXPECT_EQ(error_of<std::domain_error>([&] { pool.map(fail_on_three, mp::range(6)); }), "three");
    const auto outcomes = pool.map_outcomes(fail_on_three, mp::range(6), {.label = "numbers"});
    EXPECT_EQ(std::ranges::count_if(outcomes, [](const auto& o) { return o.has_value(); }), 5);
    ASSERT_NE(outcomes[3].error().remote(), nullptr);
    EXPECT_EQ(outcomes[3].error().remote()->task().index, 3U);
    EXPECT_EQ(outcomes[3].error().remote()->task().label, "numbers");
    try {
        pool.submit(fail_on_three, 3).get();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const mp::RemoteError&) {
    }
}

TEST_P(PoolEngine, TriesAgainAfterAnException) {
    Pool pool(options());
    mp::Value<int> tries(0);
    const auto fails_twice = [](mp::Value<int>& count, int x) {
        if (++count < 3) throw std::runtime_error("not yet");
        return x;
    };
    mp::CallOptions call;
    call.retries = mp::Retries{.exception = 2};
    EXPECT_EQ(pool.map(mp::bind(fails_twice, tries), std::vector{5}, call), std::vector{5});
    tries.store(0);
    EXPECT_EQ(pool.submit(call, mp::bind(fails_twice, tries), 6).get(), 6);
    EXPECT_EQ(tries.load(), 3);
}

TEST_P(PoolEngine, CallbacksRunAndLeavingWaitsForThem) {
    std::atomic<int> called{0};
    {
        Pool pool(options());
        for (int i = 0; i < 50; ++i) pool.submit(twice, i).add_done_callback([&] { ++called; });
    }
    EXPECT_EQ(called, 50);
}

TEST_P(PoolEngine, GivesTasksTheObjectThatTheInitializerReturned) {
    PoolOptions given = options();
    given.initializer = [] { return std::string("state"); };
    Pool pool(std::move(given));
    for (const auto& s : pool.map([](int) { return mp::worker_state<std::string>() += "."; }, mp::range(10)))
        EXPECT_EQ(s.substr(0, 6), "state.");
    EXPECT_THAT(error_of<mp::Error>([&] { pool.apply([] { return mp::worker_state<int>(); }); }),
                ::testing::HasSubstr("string"));
}

// cpython: _TestFinalize.test_finalize (once each, in reverse order; a priority is the order in which one registers)
TEST_P(PoolEngine, RunsExitActionsInReverseOrderAtAPlannedEnd) {
    mp::Queue<int> queue;
    {
        PoolOptions given = options(1);
        given.initializer = mp::bind(
            [](mp::Queue<int>& q) {
                mp::at_worker_exit([q]() mutable { q.put(1); });
                mp::at_worker_exit([q]() mutable { q.put(2); });
            },
            queue);
        Pool pool(std::move(given));
        pool.apply([] {});
        EXPECT_TRUE(queue.empty());
    }
    EXPECT_EQ(queue.get_for(patience), 2);
    EXPECT_EQ(queue.get_for(patience), 1);
    EXPECT_TRUE(queue.empty());
}

std::atomic<int> exit_actions = 0;

// cpython: _TestFinalize.test_thread_safety
TEST_P(PoolEngine, ThreadsOfATaskMayRegisterExitActionsAtOnce) {
    MP_SKIP_UNLESS(has_processes);
    constexpr int threads = 4, each = 200'000;
    mp::Value<int> ran(0);
    {
        Pool pool(options(1));
        pool.apply(
            [](const mp::Value<int>& count) {
                // Runs last.
                mp::at_worker_exit([own = mp::Value<int>(count)]() mutable { own.store(exit_actions); });
                std::latch all_are_there(threads);
                std::vector<std::jthread> running;
                for (int t = 0; t < threads; ++t)
                    running.emplace_back([&] {
                        all_are_there.arrive_and_wait();
                        for (int i = 0; i < each; ++i) mp::at_worker_exit([] { ++exit_actions; });
                    });
            },
            ran);
    }
    EXPECT_EQ(ran.load(), threads * each);
}

TEST_P(PoolEngine, AFailingInitializerBreaksThePool) {
    PoolOptions given = options();
    given.name = "doomed";
    given.initializer = [] { throw std::runtime_error("no tables"); };
    Pool pool(std::move(given));
    EXPECT_THAT(error_of<mp::PoolBroken>([&] { pool.apply(twice, 1); }), ::testing::HasSubstr("no tables"));
}

std::uint64_t draw(int x) { return mp::task_rng()() ^ static_cast<std::uint64_t>(x); }

TEST_P(PoolEngine, DrawsTheSameNumbersWithAnyWorkersAndChunks) {
    const auto run = [](Pool& pool) {
        auto all = pool.map(draw, mp::range(0, 500), {.chunk_size = 1});
        const auto more = pool.map(draw, mp::range(0, 500));
        all.insert(all.end(), more.begin(), more.end());
        for (std::uint64_t n : pool.imap(draw, mp::range(0, 50))) all.push_back(n);
        all.push_back(pool.apply(draw, 0));
        all.push_back(pool.apply(draw, 0));
        all.push_back(pool.reduce(draw, std::bit_xor<>{}, std::uint64_t(0), mp::range(0, 3'000)));
        return all;
    };
    PoolOptions given = options(3);
    given.seed = 42;
    Pool pool(std::move(given));
    Pool reference({.workers = 1, .seed = 42});
    const auto numbers = run(pool);
    EXPECT_EQ(numbers, run(reference));
    EXPECT_EQ(std::set(numbers.begin(), numbers.end()).size(), numbers.size()) << "each task of each call has its own";
    Pool other({.workers = 1, .seed = 43});
    EXPECT_NE(numbers[0], other.map(draw, mp::range(0, 1))[0]);
}

TEST_P(PoolEngine, DrawsTheSameNumbersInEachAttempt) {
    Pool pool(options(1));
    mp::Value<int> tries(0);
    mp::CallOptions call;
    call.retries = mp::Retries{.exception = 1};
    const auto second_time = [](mp::Value<int>& count, int) {
        const auto number = mp::task_rng()();
        if (++count == 1) throw std::runtime_error("again");
        return number;
    };
    const auto retried = pool.map(mp::bind(second_time, tries), mp::range(1), call)[0];
    Pool reference({.workers = 1});
    EXPECT_EQ(retried, reference.map([](int) { return mp::task_rng()(); }, mp::range(1))[0]);
}

TEST_P(PoolEngine, CloseAndTerminateRefuseMore) {
    Pool pool(options());
    pool.close();
    EXPECT_THAT(error_of<mp::Error>([&] { pool.apply(twice, 1); }), ::testing::HasSubstr("is closed"));
    pool.join();
    Pool other(options());
    other.terminate();
    EXPECT_THROW(other.map(twice, mp::range(3)), mp::Error);
}

TEST_P(PoolEngine, ATaskThatCrashesCostsItselfAlone) {
    MP_SKIP_UNLESS(isolates_crashes);
    MP_SKIP_UNDER_SANITIZERS("the crash is raw");
    Pool pool(options());
    EXPECT_NE(pool.submit([] { ::abort(); }).outcome().error().worker_lost(), nullptr);
    EXPECT_EQ(pool.apply(twice, 1), 2);
}

TEST_P(PoolEngine, RunsOnEachWorkerOnce) {
    Pool pool(options(3));
    // Some are busy, so that others would be done with all of it first.
    for (int i = 0; i < 20; ++i) static_cast<void>(pool.submit([](int ms) { std::this_thread::sleep_for(ms * 1ms); }, i % 3));
    const auto threads = pool.run_on_all([] { return std::pair(::getpid(), ::gettid()); });
    EXPECT_EQ(std::set(threads.begin(), threads.end()).size(), static_cast<std::size_t>(pool.workers()));
    if (limits().has_processes) {
        const auto pids = pool.pids();
        ASSERT_EQ(threads.size(), pids.size());
        for (std::size_t i = 0; i < pids.size(); ++i) EXPECT_EQ(threads[i].first, pids[i]) << "in the order of workers";
    }
    EXPECT_EQ(pool.run_on_all([](const std::string& text, int n) { return text + std::to_string(n); }, "a", 1),
              std::vector<std::string>(threads.size(), "a1"));
    pool.run_on_all([] {});
    EXPECT_THAT(error_of<std::domain_error>([&] { pool.run_on_all({.label = "on all"}, fail_on_three, 3); }),
                ::testing::HasSubstr("three"));
}

TEST_P(PoolEngine, CancelsWhatHasNotBegun) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options(1));
    mp::Event begun, open;
    auto held = pool.submit([](mp::Event b, mp::Event o) { b.set(), o.wait(); }, begun, open);
    ASSERT_TRUE(begun.wait_for(patience));
    auto map = pool.map_async(twice, mp::range(10));
    EXPECT_TRUE(map.cancel());
    EXPECT_THROW(map.get(), mp::TaskCancelled);
    open.set();
    held.get();
    EXPECT_EQ(pool.apply(twice, 3), 6);
}

using PoolThreads = PoolTest;
using PoolInline = PoolTest;

TEST_F(PoolThreads, ATaskMayWaitForTasksOfItsOwnPool) {
    static Pool* pool = nullptr;
    Pool own({.workers = 1, .engine = mp::threads()});
    pool = &own;
    EXPECT_EQ(own.apply([] { return pool->apply(twice, 3) + pool->map(twice, mp::range(4))[3]; }), 12);
}

// Each of those that wait has a hundred thousand others before its own: the stack must not hold them all.
TEST_F(PoolThreads, ManyTasksMayWaitForTasksOfTheirOwnPool) {
    static Pool* pool = nullptr;
    for (const int workers : {1, 3}) {
        Pool own({.workers = workers, .engine = mp::threads()});
        pool = &own;
        std::vector<mp::Future<int>> futures;
        for (int i = 0; i < 100'000; ++i) futures.push_back(own.submit([](int x) { return pool->apply(twice, x); }, i));
        for (int i = 0; i < 100'000; ++i) ASSERT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
    }
}

TEST_F(PoolInline, RunsInTheCallingThreadWhenSubmitted) {
    static int here = 0;
    Pool pool({.engine = mp::inline_engine()});
    auto future = pool.submit([] { ++here; });
    EXPECT_EQ(here, 1);
    EXPECT_TRUE(future.done());
    EXPECT_EQ(pool.workers(), 1);
    EXPECT_EQ(
        pool.apply([](std::uint64_t id) { return id == std::hash<std::thread::id>()(std::this_thread::get_id()); },
                   std::uint64_t(std::hash<std::thread::id>()(std::this_thread::get_id()))),
        true);
}

TEST_F(PoolThreads, RefusesWhatItCannotHonourInOneSentence) {
    EXPECT_EQ(
        error_of<std::invalid_argument>([] { Pool({.start_method = mp::StartMethod::fork, .engine = mp::threads()}); }),
        "pool \"pool\": its engine, threads, cannot honour start_method");
    EXPECT_THROW(Pool({.max_tasks_per_worker = 3, .engine = mp::inline_engine()}), std::invalid_argument);
    Pool pool({.workers = 1, .engine = mp::threads()});
    EXPECT_EQ(error_of<std::invalid_argument>([&] { pool.map(twice, mp::range(3), {.task_timeout = 1s}); }),
              "pool \"pool\": its engine, threads, cannot stop a task that runs and so honours no task_timeout");
}

}  // namespace
