// Workers that die outside of tasks, and workers that are replaced on purpose.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::PoolBroken;

using PoolRestart = PoolByEveryMethod;
MP_EVERY_METHOD(PoolRestart);
using PoolRestartOnce = PoolTest;

int same(int x) { return x; }

// cpython: FailingInitializerMixin (broken at once, with its cause)
TEST_P(PoolRestart, AFailingInitializerEndsThePoolWithItsCause) {
    auto given = options(4);
    given.initializer = [] { throw std::runtime_error("no table"); };
    Pool pool(given);
    EXPECT_THAT(error_of<PoolBroken>([&] { pool.apply(same, 1); }), ::testing::HasSubstr("no table"));
    EXPECT_THAT(error_of<PoolBroken>([&] { pool.map(same, mp::range(0, 3)); }), ::testing::HasSubstr("no table"));
}

TEST_P(PoolRestart, WorkersThatDieBetweenTasksTooOftenBreakThePool) {
    MP_SKIP_UNDER_SANITIZERS("a thread that outlives its task");
    auto given = options(1);
    given.restart_intensity = {.restarts = 2, .within = 1h};
    // Each worker dies a moment after it was ready, of itself and in no task.
    given.initializer = [] {
        std::thread([] {
            ::usleep(20'000);
            ::raise(SIGABRT);
        }).detach();
    };
    Pool pool(given);
    EXPECT_TRUE(eventually([&] {
        try {
            pool.submit(same, 1).wait();
            return false;
        } catch (const PoolBroken& error) {
            return std::string(error.what()).find("die too often") != std::string::npos;
        }
    }));
}

TEST_F(PoolRestartOnce, DeathsInTasksBreakThePoolOnlyWhenThatWasAskedFor) {
    const auto die = [](int) { ::kill(::getpid(), SIGKILL); };
    Pool generous({.workers = 2, .restart_intensity = {.restarts = 0}});
    for (const auto& outcome : generous.map_outcomes(die, mp::range(0, 20))) EXPECT_TRUE(outcome.error().worker_lost());
    EXPECT_EQ(generous.apply(same, 1), 1);
    Pool strict({.workers = 2, .restart_intensity = {.within = 1h, .in_tasks = 3}});
    error_of<PoolBroken>([&] { strict.map(die, mp::range(0, 20)); });
}

TEST_F(PoolRestartOnce, SomebodyElsesKillBetweenTasksIsNotCounted) {
    Pool pool({.workers = 1, .restart_intensity = {.restarts = 0}});
    EXPECT_EQ(pool.apply(same, 1), 1);
    const auto before = pool.pids();
    ::kill(before.at(0), SIGKILL);
    ASSERT_TRUE(eventually([&] {
        const auto now = pool.pids();
        return !now.empty() && now != before;
    }));
    EXPECT_EQ(pool.apply(same, 2), 2);
}

// cpython: _TestPoolWorkerLifetime.test_pool_worker_lifetime (also by age and by growth)
TEST_P(PoolRestart, WorkersAreReplacedByAgeBetweenTasks) {
    auto given = options(1);
    given.max_worker_age = 1ns;
    Pool pool(given);
    std::set<pid_t> pids;
    for (int i = 0; i < 5; ++i) pids.insert(pool.apply(::getpid));
    EXPECT_EQ(pids.size(), 5U);
    EXPECT_EQ(pool.map(same, mp::range(0, 100)).size(), 100U);
}

TEST_P(PoolRestart, WorkersAreReplacedWhenTheirMemoryHasGrown) {
    auto given = options(1);
    given.max_worker_growth = 8 << 20;
    Pool pool(given);
    const auto grow = [](std::size_t size) {
        if (size) std::fill_n(static_cast<volatile char*>(std::malloc(size)), size, 1);
        return ::getpid();
    };
    const pid_t first = pool.apply(grow, std::size_t(0));
    EXPECT_EQ(pool.apply(grow, std::size_t(1) << 20), first);
    pool.apply(grow, std::size_t(64) << 20);
    EXPECT_TRUE(eventually([&] { return pool.apply(grow, std::size_t(0)) != first; }));
}

// The process of the worker that runs this does not go before it is let. Counts those before it that are there still.
mp::Semaphore* to_go = nullptr;
int linger(const mp::Semaphore& go, const mp::Array<pid_t>& pids, std::size_t number) {
    to_go = new mp::Semaphore(go);
    std::atexit([] { to_go->acquire(); });
    pids[number] = ::getpid();
    int before = 0;
    for (std::size_t i = 0; i < number; ++i) before += is_running(pids[i]);
    return before;
}

TEST_P(PoolRestart, TheReplacementOfAWorkerDoesNotWaitForItsProcessToGoButThenTheNextDoes) {
    constexpr std::size_t tasks = 6;
    mp::Semaphore go(0);
    const mp::Array<pid_t> pids(tasks);
    auto given = options(1);
    given.max_tasks_per_worker = 1;
    Pool pool(given);
    const auto let_all_go = std::unique_ptr<mp::Semaphore, void (*)(mp::Semaphore*)>(&go, [](mp::Semaphore* one) {
        for (std::size_t i = 0; i < 2 * tasks; ++i) one->release();
    });
    const auto task = mp::bind(linger, go, pids);
    std::vector<mp::Future<int>> before;
    for (std::size_t i = 0; i < tasks; ++i) before.push_back(pool.submit(task, i));
    ASSERT_TRUE(before[0].wait_for(patience));
    ASSERT_TRUE(before[1].wait_for(patience)) << "waits for the process of the worker before it";
    EXPECT_EQ(before[1].get(), 1);
    EXPECT_TRUE(is_running(pids[0]));
    for (std::size_t i = 2; i < tasks; ++i) {
        go.release();
        ASSERT_TRUE(before[i].wait_for(patience));
        EXPECT_LE(before[i].get(), 1) << "processes that are slow to end pile up";
    }
}

TEST_F(PoolRestartOnce, LimitsThatMakeNoSenseAreRefused) {
    error_of<std::invalid_argument>([] { Pool({.workers = 1, .max_worker_growth = 0}); });
    error_of<std::invalid_argument>([] { Pool({.workers = 1, .max_worker_age = 0s}); });
    error_of<std::invalid_argument>([] { Pool({.workers = 1, .restart_intensity = {.restarts = -1}}); });
}

}  // namespace
