// Limits of time: what is stopped, what that costs, and what is said.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::TaskTimeout;
using Clock = std::chrono::steady_clock;

using PoolDeadline = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolDeadline);
using PoolDeadlineOnce = PoolTest;

int same(int x) { return x; }
void hang() {
    while (true) ::pause();
}
int hang_if(int x) {
    if (x < 0) hang();
    return x;
}
int heed_the_token(int x) {
    while (!mp::stop_token().wait_for(1s)) continue;
    return x;
}

TEST_P(PoolDeadline, ATaskOverItsTimeIsStoppedAndOnlyItsWorkerIsReplaced) {
    MP_SKIP_UNLESS(stops_tasks);
    Pool pool(options());
    const auto before = pool.pids();
    const auto start = Clock::now();
    auto hanging = pool.submit({.task_timeout = 50ms, .label = "slow"}, hang);
    std::vector<mp::Future<int>> others;
    for (int i = 0; i < 200; ++i) others.push_back(pool.submit({.task_timeout = 60s}, same, i));
    try {
        hanging.get();
        FAIL() << "nothing was thrown";
    } catch (const TaskTimeout& error) {
        EXPECT_EQ(error.limit(), 50ms);
        EXPECT_EQ(error.task().label, "slow");
        EXPECT_EQ(std::ranges::count(before, error.pid()), 1);
        EXPECT_THAT(error.stack().to_string(), ::testing::HasSubstr("hang"));
    }
    EXPECT_GE(Clock::now() - start, 50ms);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), i);
    const auto after = pool.pids();
    EXPECT_LE(std::ranges::count_if(before, [&](pid_t pid) { return std::ranges::count(after, pid) == 0; }), 1);
}

TEST_P(PoolDeadline, ATaskThatHeedsItsTokenCostsNoWorker) {
    MP_SKIP_UNLESS(stops_tasks);
    auto given = options(1);
    given.stop_ladder.token = patience;
    Pool pool(given);
    const auto before = pool.pids();
    for (int i = 0; i < 3; ++i) {
        error_of<TaskTimeout>([&] { pool.apply({.task_timeout = 20ms}, heed_the_token, i); });
        EXPECT_FALSE(pool.apply([] { return mp::stop_token().stop_requested(); }));
        const auto outcomes = pool.map_outcomes(heed_the_token, std::vector{1}, {.task_timeout = 20ms});
        EXPECT_TRUE(outcomes[0].error().as<TaskTimeout>());
        EXPECT_FALSE(pool.apply([] { return mp::stop_token().stop_requested(); }));
    }
    EXPECT_EQ(pool.pids(), before);
}

TEST_P(PoolDeadline, AnElementOverItsTimeHarmsNoOtherAndNoneIsRunTwice) {
    MP_SKIP_UNLESS(stops_tasks);
    Pool pool(options());
    mp::Array<int> runs(300);
    auto run = [](mp::Array<int> counts, int x) {
        counts.span()[static_cast<std::size_t>(x)] += 1;
        if (x % 100 == 42) hang();
        return x;
    };
    const auto outcomes = pool.map_outcomes(mp::bind(run, runs), mp::range(0, 300), {.chunk_size = 50, .task_timeout = 300ms});
    for (int i = 0; i < 300; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        ASSERT_EQ(outcome.has_value(), i % 100 != 42) << i;
        if (!outcome) {
            ASSERT_TRUE(outcome.error().as<TaskTimeout>()) << outcome.error();
            EXPECT_EQ(outcome.error().as<TaskTimeout>()->task().index, static_cast<std::uint64_t>(i));
        }
        EXPECT_EQ(runs.span()[static_cast<std::size_t>(i)], 1) << i;
    }
}

TEST_F(PoolDeadlineOnce, TimeInTheQueueDoesNotCount) {
    Pool pool(1);
    std::vector<mp::Future<int>> futures;
    for (int i = 0; i < 8; ++i)
        futures.push_back(pool.submit({.task_timeout = 20s}, [](int x) { return ::usleep(20'000), x; }, i));
    futures.push_back(pool.submit({.task_timeout = 100ms}, same, 8));
    for (int i = 0; i < 9; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i);
}

// cpython: ExecutorTest: map timeout delivers what was ready, then a timeout error
TEST_P(PoolDeadline, TheTimeOfACallEndsWhatRunsAndWhatHasNotBegun) {
    MP_SKIP_UNLESS(stops_tasks);
    Pool pool(options());
    pool.map(same, mp::range(0, 100));
    const auto outcomes = pool.map_outcomes(hang_if, std::vector{1, 2, -1, -1, 5, -1, 7, 8}, {.chunk_size = 1, .timeout = 300ms});
    EXPECT_EQ(outcomes[0].value(), 1);
    EXPECT_EQ(outcomes[1].value(), 2);
    for (std::size_t i = 2; i < 4; ++i) EXPECT_TRUE(outcomes[i].error().as<TaskTimeout>());
    error_of<TaskTimeout>([&] { pool.map(hang_if, std::vector{-1, 1, 2}, {.timeout = 50ms}); });
    error_of<TaskTimeout>([&] { pool.apply({.timeout = 50ms}, hang); });
    EXPECT_EQ(pool.map(same, mp::range(0, 100)).size(), 100U);
    EXPECT_EQ(pool.apply({.timeout = 60s}, same, 3), 3);
}

TEST_F(PoolDeadlineOnce, ATaskThatNeverBeganMayRunOutOfItsCallsTime) {
    Pool pool({.workers = 1, .stop_ladder = {.token = 0s, .terminate = 0s}});
    auto held = pool.submit(hang);
    auto behind = pool.submit({.timeout = 20ms}, same, 1);
    try {
        behind.get();
        FAIL() << "nothing was thrown";
    } catch (const TaskTimeout& error) {
        EXPECT_EQ(error.pid(), 0);
    }
    EXPECT_FALSE(held.done());
    EXPECT_TRUE(held.cancel());
}

bool is_stopped(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(')');
    return name_end != text.npos && name_end + 2 < text.size() && text[name_end + 2] == 'T';
}

TEST_F(PoolDeadlineOnce, AStoppedProcessIsCaught) {
    Pool pool({.workers = 1, .stop_ladder = {.token = 20ms, .terminate = 20ms}});
    error_of<TaskTimeout>([&] { pool.apply({.task_timeout = 50ms}, [] { ::raise(SIGSTOP); }); });
    // One that is stopped between tasks costs no task.
    EXPECT_EQ(pool.apply(same, 3), 3);
    // The signal is sent at once, but a worker that looks for work on another processor stops a little later.
    const pid_t worker = pool.pids().at(0);
    ::kill(worker, SIGSTOP);
    ASSERT_TRUE(eventually([&] { return is_stopped(worker); }));
    EXPECT_EQ(pool.apply({.task_timeout = 50ms}, same, 4), 4);
}

TEST_F(PoolDeadlineOnce, ATaskThatIgnoresSIGTERMIsKilled) {
    Pool pool({.workers = 1, .task_timeout = 50ms, .stop_ladder = {.token = 10ms, .terminate = 10ms}});
    error_of<TaskTimeout>([&] {
        pool.apply([] {
            ::signal(SIGTERM, SIG_IGN);
            hang();
        });
    });
    EXPECT_EQ(pool.apply(same, 4), 4);
}

TEST_F(PoolDeadlineOnce, LimitsThatMakeNoSenseAreRefused) {
    EXPECT_EQ(error_of<std::invalid_argument>([] { Pool({.workers = 1, .task_timeout = 0s}); }), "task_timeout must be more than 0");
    Pool pool(1);
    error_of<std::invalid_argument>([&] { pool.submit({.task_timeout = -1s}, same, 1); });
    error_of<std::invalid_argument>([&] { pool.map(same, mp::range(0, 3), {.task_timeout = 0s}); });
    EXPECT_EQ(pool.apply({.task_timeout = std::chrono::hours::max(), .timeout = std::chrono::duration<double>(1e300)}, same, 1), 1);
}

}  // namespace
