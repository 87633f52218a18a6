// Cancelling what waits and what runs.
#include <unistd.h>

#include <thread>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::TaskCancelled;

using PoolCancel = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolCancel);

int same(int x) { return x; }
void hang(mp::Value<int> begun) {
    begun.store(1);
    while (true) ::pause();
}

TEST_P(PoolCancel, ARunningTaskIsStoppedAndOnlyItsWorkerIsReplaced) {
    MP_SKIP_UNLESS(stops_tasks);
    Pool pool(options(1));
    mp::Value<int> begun(0);
    const auto before = pool.pids();
    auto hanging = pool.submit(hang, begun);
    std::vector<mp::Future<int>> behind;
    for (int i = 0; i < 50; ++i) behind.push_back(pool.submit(same, i));
    ASSERT_TRUE(eventually([&] { return begun.load() == 1; }));
    EXPECT_TRUE(hanging.cancel());
    EXPECT_FALSE(hanging.cancel());
    ASSERT_TRUE(hanging.wait_for(patience));
    error_of<TaskCancelled>([&] { hanging.get(); });
    for (int i = 0; i < 50; ++i) EXPECT_EQ(behind[static_cast<std::size_t>(i)].get(), i);
    EXPECT_NE(pool.pids(), before);
}

TEST_P(PoolCancel, ATaskThatHeedsItsTokenCostsNoWorker) {
    MP_SKIP_UNLESS(stops_tasks);
    auto given = options(1);
    given.stop_ladder.token = patience;
    Pool pool(given);
    const auto before = pool.pids();
    mp::Value<int> begun(0);
    auto waiting = pool.submit(
        [](mp::Value<int> word) {
            word.store(1);
            while (!mp::stop_token().wait_for(1s)) continue;
        },
        begun);
    ASSERT_TRUE(eventually([&] { return begun.load() == 1; }));
    EXPECT_TRUE(waiting.cancel());
    error_of<TaskCancelled>([&] { waiting.get(); });
    EXPECT_EQ(pool.apply(same, 1), 1);
    EXPECT_EQ(pool.pids(), before);
}

TEST_P(PoolCancel, ARunningMapIsStopped) {
    MP_SKIP_UNLESS(stops_tasks);
    Pool pool(options());
    mp::Value<int> begun(0);
    auto map = pool.map_async(mp::bind([](mp::Value<int> word, int) { hang(word); }, begun), mp::range(0, 1000));
    ASSERT_TRUE(eventually([&] { return begun.load() == 1; }));
    EXPECT_TRUE(map.cancel());
    ASSERT_TRUE(map.wait_for(patience));
    error_of<TaskCancelled>([&] { map.get(); });
    EXPECT_EQ(pool.map(same, mp::range(0, 100)).size(), 100U);
}

TEST_P(PoolCancel, CancellingWhileTasksEndLosesNone) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options());
    int cancelled = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<mp::Future<int>> futures;
        for (int i = 0; i < 20; ++i) futures.push_back(pool.submit(same, i));
        const bool done = futures[static_cast<std::size_t>(round % 20)].cancel();
        cancelled += done;
        for (int i = 0; i < 20; ++i) {
            const auto outcome = futures[static_cast<std::size_t>(i)].outcome();
            if (i == round % 20 && done) ASSERT_TRUE(outcome.error().as<TaskCancelled>());
            else ASSERT_EQ(outcome.value(), i);
        }
    }
    EXPECT_GT(cancelled, 0);
}

}  // namespace
