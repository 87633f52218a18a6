// From the making of a pool to its end: workers, initializers, replacement, close, join, terminate.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pool_fixture.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::PoolOptions;
using Clock = std::chrono::steady_clock;

using PoolLifetime = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolLifetime);
using PoolLifetimeOnce = PoolTest;

int same(int x) { return x; }
pid_t my_pid(int) { return ::getpid(); }
int table = 0;
void fill_table() { table = 42; }
void throw_early() { throw std::runtime_error("no tables today"); }
void crash_early() { ::raise(SIGSEGV); }
void exit_early() { ::_exit(3); }

// The first program of the manual, as it stands there.
int square(int x) { return x * x; }
TEST_F(PoolLifetimeOnce, TheFirstProgramWorks) {
    std::vector<int> printed;
    mp::Pool pool;
    for (int y : pool.map(square, std::vector{1, 2, 3})) printed.push_back(y);
    EXPECT_EQ(printed, (std::vector{1, 4, 9}));
}

// cpython: _TestPool.test_make_pool
// cpython: ExecutorTest: worker count <= 0 refused
// cpython: ProcessPoolExecutorTest: saturation creates exactly max workers (all of them are there from the start)
TEST_P(PoolLifetime, HasAsManyWorkersAsAskedAndRefusesNone) {
    for (const int wrong : {0, -1, -100}) {
        EXPECT_THAT(error_of<std::invalid_argument>([&] { Pool pool(options(wrong)); }), ::testing::HasSubstr(std::to_string(wrong)));
    }
    Pool pool(options(3));
    EXPECT_EQ(pool.workers(), limits().is_parallel ? 3 : 1);
    EXPECT_EQ(pool.pids().size(), limits().has_processes ? 3U : 1U);
}

// cpython: _TestPoolWorkerLifetime.test_pool_maxtasksperchild_invalid
TEST_F(PoolLifetimeOnce, RefusesFewerThanOneTaskAWorker) {
    for (const int wrong : {0, -1}) error_of<std::invalid_argument>([&] { Pool pool({.workers = 1, .max_tasks_per_worker = wrong}); });
}

// cpython: TestInitializers.test_pool_initializer
// cpython: InitializerMixin
TEST_P(PoolLifetime, TheInitializerRunsInEveryWorkerOnce) {
    MP_SKIP_UNLESS(has_processes);
    PoolOptions with = options(3);
    with.initializer = fill_table;
    {
        Pool pool(with);
        for (const int value : pool.map([](int) { return table++; }, mp::range(60), {.chunk_size = 1})) EXPECT_GE(value, 42);
        EXPECT_EQ(table, 0);
    }
    mp::Value<int> runs(0);
    with.initializer = mp::bind([](mp::Value<int>& count) { ++count; }, runs);
    with.max_tasks_per_worker = 5;
    Pool pool(with);
    std::set<pid_t> used;
    for (int i = 0; i < 40; ++i) used.insert(pool.apply(my_pid, i));
    pool.close();
    pool.join();
    EXPECT_GE(runs.load(), static_cast<int>(used.size()));
}

// cpython: FailingInitializerMixin
TEST_P(PoolLifetime, AFailingInitializerBreaksThePoolAndSaysWhy) {
    MP_SKIP_UNLESS(isolates_crashes);
    MP_SKIP_UNDER_SANITIZERS("a crash ends with an exit code there");
    const std::pair<void (*)(), const char*> cases[] = {
        {throw_early, "no tables today"}, {crash_early, "SIGSEGV"}, {exit_early, "exited with code 3"}};
    for (const auto& [initializer, reason] : cases) {
        PoolOptions with = options();
        with.initializer = initializer;
        Pool pool(with);
        EXPECT_THAT(error_of<mp::PoolBroken>([&] { pool.submit(same, 1).get(); }), ::testing::HasSubstr(reason));
        EXPECT_THAT(error_of<mp::PoolBroken>([&] { pool.map(same, mp::range(3)); }), ::testing::HasSubstr(reason));
        error_of<mp::PoolBroken>([&] { pool.submit(same, 1); });
        EXPECT_TRUE(eventually([&] { return pool.pids().empty(); }));
        pool.close();
        pool.join();
    }
}

// cpython: _TestPoolWorkerLifetime.test_pool_worker_lifetime
// cpython: ProcessPoolExecutorTest: worker replaced after k tasks, pid changes
TEST_P(PoolLifetime, WorkersAreReplacedAfterTheirShareOfTasks) {
    MP_SKIP_UNLESS(replaces_workers);
    for (const int share : {1, 10}) {
        PoolOptions with = options();
        with.max_tasks_per_worker = share;
        Pool pool(with);
        std::map<pid_t, int> tasks;
        std::vector<mp::Future<pid_t>> futures;
        for (int i = 0; i < 60; ++i) futures.push_back(pool.submit(my_pid, i));
        for (auto& future : futures) ++tasks[future.get()];
        for (const auto& [pid, count] : tasks) EXPECT_LE(count, share);
        EXPECT_GE(tasks.size(), static_cast<std::size_t>(60 / share));
        tasks.clear();
        for (const pid_t pid : pool.map(my_pid, mp::range(60))) ++tasks[pid];
        for (const auto& [pid, count] : tasks) EXPECT_LE(count, share);
        const auto results = pool.map(same, mp::range(200), {.chunk_size = 7});
        for (int i = 0; i < 200; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], i);
    }
}

// cpython: _TestPoolWorkerLifetime.test_pool_worker_lifetime_early_close
// cpython: ProcessPoolExecutorTest: none lost at early shutdown
TEST_P(PoolLifetime, CloseWithWorkersOfOneTaskDoesNotHangJoin) {
    MP_SKIP_UNLESS(replaces_workers);
    PoolOptions with = options(3);
    with.max_tasks_per_worker = 1;
    Pool pool(with);
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 12; ++i) futures.push_back(pool.submit(same, i));
    pool.close();
    pool.join();
    for (int i = 0; i < 12; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
}

// cpython: _TestPool.test_context
// cpython: _TestPool.test_enter
// cpython: ExecutorShutdownTest: submit after shutdown is refused, pending work completes, workers are gone afterwards
// cpython: ProcessPoolShutdownTest: shutting down again, and after a shutdown
TEST_P(PoolLifetime, ClosedItTakesNothingMoreAndFinishesWhatItHas) {
    Pool pool(options());
    EXPECT_THAT(error_of<mp::Error>([&] { pool.join(); }), ::testing::HasSubstr("close"));
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(same, i));
    pool.close();
    pool.close();
    EXPECT_THAT(error_of<mp::Error>([&] { pool.submit(same, 1); }), ::testing::HasSubstr("closed"));
    error_of<mp::Error>([&] { pool.map(same, mp::range(3)); });
    error_of<mp::Error>([&] { pool.map(same, mp::range(0)); });
    pool.join();
    pool.join();
    EXPECT_EQ(pool.pids().empty(), limits().has_processes);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
    pool.terminate();
}

// cpython: _TestPool.test_terminate
TEST_P(PoolLifetime, TerminateWithTenThousandTasksQueuedIsPrompt) {
    MP_SKIP_UNLESS(stops_tasks);
    Pool pool(options());
    std::vector<mp::Future<void>> futures;
    for (int i = 0; i < 10'000; ++i) futures.push_back(pool.submit([] { ::sleep(100); }));
    std::optional<std::string> error;
    std::thread mapper([&] { error = error_of<mp::TaskCancelled>([&] { pool.map([](int) { ::sleep(100); }, mp::range(10)); }); });
    EXPECT_FALSE(futures[0].wait_for(30ms));
    const auto begin = Clock::now();
    pool.terminate();
    EXPECT_LT(Clock::now() - begin, 10s);
    mapper.join();
    for (auto& future : futures) ASSERT_TRUE(future.outcome().error().as<mp::TaskCancelled>());
    EXPECT_TRUE(pool.pids().empty());
    error_of<mp::Error>([&] { pool.submit(same, 1); });
    pool.join();
}

// cpython: ExecutorShutdownTest: dropping the executor still completes work
// cpython: ExecutorTest: shutdown with a full call queue does not hang
// cpython: _TestPool.test_resource_warning (here a pool that is dropped is no mistake to be warned of)
TEST_P(PoolLifetime, TheDestructorFinishesWhatWasSubmitted) {
    mp::Value<int> ran(0);
    {
        Pool pool(options());
        for (int i = 0; i < 300; ++i) static_cast<void>(pool.submit([](mp::Value<int> count) { ++count; }, ran));
    }
    EXPECT_EQ(ran.load(), 300);
}

// cpython: ExecutorShutdownTest: cancel_futures cancels some, lets running ones finish, leaves none pending
TEST_P(PoolLifetime, TheDestructorCancelsWhatHasNotBegunWhenAnExceptionUnwinds) {
    MP_SKIP_UNLESS(is_parallel);
    std::vector<mp::Future<void>> futures;
    const auto begin = Clock::now();
    try {
        Pool pool(options(1));
        for (int i = 0; i < 1000; ++i) futures.push_back(pool.submit([] { ::usleep(100'000); }));
        throw std::runtime_error("out");
    } catch (const std::runtime_error&) {
    }
    EXPECT_LT(Clock::now() - begin, 20s);
    int cancelled = 0;
    for (auto& future : futures) cancelled += !future.outcome().has_value();
    EXPECT_GT(cancelled, 900);
}

TEST_P(PoolLifetime, CanBeMoved) {
    Pool pool(options());
    auto future = pool.submit(same, 1);
    Pool moved = std::move(pool);
    EXPECT_EQ(moved.apply(same, 2), 2);
    EXPECT_EQ(future.get(), 1);
    moved = Pool(options(1));
    EXPECT_EQ(moved.workers(), 1);
    EXPECT_EQ(moved.apply(same, 3), 3);
}

// cpython: TestStdinBadfiledescriptor.test_pool_in_process
TEST_P(PoolLifetime, ATaskMayRunAPoolOfItsOwn) {
    Pool pool(options());
    const auto sums = pool.map(
        [](int x) {
            Pool inner(2);
            int sum = 0;
            for (const int y : inner.map(same, mp::range(x))) sum += y;
            return sum;
        },
        std::vector{3, 4, 5});
    EXPECT_EQ(sums, (std::vector{3, 6, 10}));
}

// cpython: TestStdinBadfiledescriptor.test_queue_in_process
TEST_P(PoolLifetime, ATaskMayMakeAQueueAndAProcessOfItsOwn) {
    MP_SKIP_UNLESS(has_processes);
    Pool pool(options(1));
    const auto through_a_grandchild = [](int x) {
        mp::Queue<int> queue;
        mp::Process process([](const mp::Queue<int>& to, int y) { to.put(y + 1); }, queue, x);
        process.start();
        process.join();
        return queue.get_for(patience).value_or(-1);
    };
    EXPECT_EQ(pool.apply(through_a_grandchild, 5), 6);
}

TEST_P(PoolLifetime, InAForkOfItsOwnerItIsRefusedAndHarmless) {
    MP_SKIP_UNLESS(is_parallel);
    MP_SKIP_UNDER_SANITIZERS("their allocator may be locked by another thread at the fork, and stays so in the child");
    auto pool = std::make_unique<Pool>(options());
    auto pending = pool->submit([] { return ::usleep(300'000); });
    Child child([&] {
        try {
            pool->submit(same, 1);
            return 1;
        } catch (const mp::Error& error) {
            if (std::string(error.what()).find("fork") == std::string::npos) return 2;
        }
        try {
            pending.get();
            return 3;
        } catch (const mp::Error&) {
        }
        pool.reset();
        Pool own(2);
        return own.apply(same, 3) == 3 ? 0 : 4;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(pending.get(), 0);
    EXPECT_EQ(pool->apply(same, 5), 5);
}

// A host that forks while the pool works, and one that ignores SIGCHLD.
TEST_F(PoolLifetimeOnce, ForksOfTheHostDoNotDisturbIt) {
    Pool pool(2);
    const auto child_pids = [&] {
        for (int i = 0; i < 20; ++i) {
            Child child([] { return 0; });
            EXPECT_EQ(child.wait(), 0);
        }
    };
    std::jthread forker(child_pids);
    for (int i = 0; i < 30; ++i) ASSERT_EQ(pool.map(same, mp::range(1000)).size(), 1000U);
}

TEST_F(PoolLifetimeOnce, WorksWhileTheHostIgnoresSigchld) {
    struct sigaction ignore {}, before {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGCHLD, &ignore, &before);
    {
        Pool pool(2);
        EXPECT_EQ(pool.apply(same, 1), 1);
        error_of<mp::WorkerLost>([&] { pool.apply([] { ::_exit(5); }); });
        EXPECT_EQ(pool.map(same, mp::range(3)), (std::vector{0, 1, 2}));
    }
    mp::process::Forkserver::shut_down_shared();
    ::sigaction(SIGCHLD, &before, nullptr);
}

// cpython: _TestProcess.test_forkserver_sigkill
TEST_F(PoolLifetimeOnce, TheForkServerMayDie) {
    Pool pool(2);
    for (int i = 0; i < 5; ++i) {
        ::kill(mp::process::Forkserver::shared()->pid(), SIGKILL);
        for (int k = 0; k < 20; ++k) static_cast<void>(pool.submit(same, k).outcome());
        EXPECT_TRUE(eventually([&] { return pool.pids().size() == 2; }));
        EXPECT_EQ(pool.map(same, mp::range(5), {.retries = mp::Retries{.crash = 9}}).size(), 5U);
    }
}

// cpython: MiscTestCase.test_large_pool
TEST_F(PoolLifetimeOnce, TwoHundredWorkersWork) {
    Pool pool(200);
    EXPECT_EQ(pool.pids().size(), 200U);
    const auto results = pool.map(same, mp::range(5000), {.chunk_size = 1});
    for (int i = 0; i < 5000; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], i);
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 2000; ++i) futures.push_back(pool.submit(same, i));
    for (int i = 0; i < 2000; ++i) ASSERT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
}

TEST_F(PoolLifetimeOnce, TerminatingWhileThreadsSubmitHangsNobody) {
    for (int round = 0; round < 30; ++round) {
        Pool pool(2);
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                const std::string large(t % 2 ? 100'000 : 10, 'x');
                try {
                    while (true) {
                        if (t == 3) pool.map(same, mp::range(100));
                        else pool.submit([](const std::string& text) { return text.size(); }, large).get();
                    }
                } catch (const mp::Error&) {
                }
            });
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(round % 7));
        pool.terminate();
    }
}

}  // namespace
