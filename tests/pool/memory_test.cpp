// Limits of memory for workers. Nothing here takes more than a few hundred MiB, and that is refused.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <new>
#include <sstream>
#include <vector>

#include "os/memory_limit.hpp"
#include "pool/worker_end.hpp"
#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::MemoryLimitExceeded;
using mp::Pool;
using ::testing::HasSubstr;

using PoolMemory = PoolByEveryMethod;
MP_EVERY_METHOD(PoolMemory);
using PoolMemoryOnce = PoolTest;

static_assert([] {
    using namespace mp::literals;
    return 2_GiB == 2048_MiB && 1_MiB == 1024_KiB && 1_KiB == 1024;
}());

// Touches what it takes.
int take(int mebibytes) {
    std::vector<std::vector<char>> all;
    for (int i = 0; i < mebibytes; ++i) all.emplace_back(1 << 20, 'x');
    return static_cast<int>(all.size());
}

mp::PoolOptions limited(mp::PoolOptions options) {
    using namespace mp;
    options.memory_limit = 256_MiB;
    return options;
}

TEST_P(PoolMemory, BeyondTheLimitCostsTheTaskAndSaysSo) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    Pool pool(limited(options(1)));
    const pid_t before = pool.pids().front();
    EXPECT_EQ(pool.submit(take, 64).get(), 64);
    try {
        pool.submit(take, 600).get();
        ADD_FAILURE();
    } catch (const MemoryLimitExceeded& error) {
        EXPECT_EQ(error.limit(), 256U << 20);
        EXPECT_EQ(error.pid(), before);
        EXPECT_TRUE(error.killed_for_memory());
        EXPECT_FALSE(error.called_exit());
        EXPECT_THAT(error.what(), HasSubstr("passed its memory limit of 256 MiB"));
    }
    EXPECT_EQ(pool.submit(take, 64).get(), 64);
}

TEST_P(PoolMemory, TheLimitAndWhatHoldsToItAreTold) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    // A worker may have a group where this process may make one.
    const bool group = !mp::os::memory_group_parents().empty() && mp::os::MemoryGroup::make("told", 1 << 28);
    const auto expected = group ? mp::MemoryLimiter::control_group : mp::MemoryLimiter::data_limit;
    Pool pool(limited(options(1)));
    const auto held_by_the_kernel = [] {
        rlimit own{};
        ::getrlimit(RLIMIT_DATA, &own);
        return own.rlim_cur;
    };
    EXPECT_EQ(pool.apply(held_by_the_kernel) == 256U << 20, !group);
    EXPECT_EQ(pool.stats().memory_limit, 256U << 20);
    EXPECT_EQ(pool.stats().memory_limiter, expected);
    EXPECT_EQ(pool.stats().workers.front().memory_limiter, expected);
    std::ostringstream table;
    table << pool.stats();
    EXPECT_THAT(table.str(), HasSubstr(std::string("each worker's memory limited by ") + to_string(expected)));
    Pool free(options(1));
    free.apply(held_by_the_kernel);
    EXPECT_EQ(free.stats().memory_limiter, mp::MemoryLimiter::none);
    EXPECT_EQ(free.stats().workers.front().memory_limiter, mp::MemoryLimiter::none);
    EXPECT_EQ(free.stats().memory_limit, 0U);
}

// As when the group was removed, or its controller taken away, since it was made.
TEST_F(PoolMemoryOnce, AGroupThatRefusesAWorkerIsNotWhatHoldsIt) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    mp::Process worker([] {
        mp::serial::Handle refuses(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        const auto limiter = mp::pool::limit_memory(256U << 20, std::move(refuses));
        rlimit own{};
        ::getrlimit(RLIMIT_DATA, &own);
        if (limiter != mp::MemoryLimiter::data_limit || own.rlim_cur != 256U << 20) std::exit(3);
    });
    worker.start();
    worker.join();
    EXPECT_EQ(worker.exitcode(), 0);
}

TEST_P(PoolMemory, BeyondTheLimitIsTriedAgainFromItsOwnBudget) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    Pool pool(limited(options(1)));
    mp::Value<int> runs(0);
    const auto task = mp::bind([](mp::Value<int>& count, int mebibytes) { return ++count, take(mebibytes); }, runs);
    const auto tries = [&](const mp::Retries& retries) {
        runs.store(0);
        const auto outcome = pool.submit({.retries = retries}, task, 600).outcome();
        EXPECT_TRUE(outcome.error().as<MemoryLimitExceeded>());
        return runs.load();
    };
    EXPECT_EQ(tries({.crash = 5}), 1);
    EXPECT_EQ(tries({.crash = 5, .memory = 2}), 3);
    runs.store(0);
    EXPECT_FALSE(pool.map_outcomes(task, std::vector{600}, {.retries = mp::Retries{.memory = 1}})[0].has_value());
    EXPECT_EQ(runs.load(), 2);
}

TEST_P(PoolMemory, BeyondTheLimitInAMapCostsOneElement) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    Pool pool(limited(options()));
    const auto outcomes = pool.map_outcomes([](int n) { return take(n == 33 ? 600 : 1); }, mp::range(100));
    for (std::size_t i = 0; i < 100; ++i) ASSERT_EQ(outcomes[i].has_value(), i != 33) << i;
    EXPECT_TRUE(outcomes[33].error().as<MemoryLimitExceeded>());
    EXPECT_TRUE(outcomes[33].error().worker_lost());
}

TEST_P(PoolMemory, RefusedCanBeCaughtByTheTask) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    Pool pool(limited(options(1)));
    const auto caught = [] {
        try {
            return take(600);
        } catch (const std::bad_alloc&) {
            return -1;
        }
    };
    EXPECT_EQ(pool.submit(caught).get(), -1);
    EXPECT_EQ(pool.submit(take, 64).get(), 64);
}

TEST_F(PoolMemoryOnce, APlainKillIsNoMatterOfTheLimit) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    Pool pool(limited({.workers = 1}));
    const auto outcomes = pool.map_outcomes([](int) { ::raise(SIGKILL); }, mp::range(1));
    ASSERT_TRUE(outcomes[0].error().worker_lost());
    EXPECT_FALSE(outcomes[0].error().as<MemoryLimitExceeded>());
    EXPECT_FALSE(outcomes[0].error().worker_lost()->killed_for_memory());
}

TEST_F(PoolMemoryOnce, ABadAllocWithoutALimitIsTheTasksOwnError) {
    Pool pool(1);
    EXPECT_THROW(pool.submit([]() -> int { throw std::bad_alloc(); }).get(), std::bad_alloc);
}

TEST_F(PoolMemoryOnce, ABadAllocOfTheTasksOwnMakingIsItsOwnErrorUnderALimitToo) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    Pool pool(limited({.workers = 1}));
    EXPECT_THROW(pool.submit([]() -> int { throw std::bad_alloc(); }).get(), std::bad_alloc);
}

TEST_F(PoolMemoryOnce, ALimitOfZeroIsRefused) {
    EXPECT_THROW(Pool({.workers = 1, .memory_limit = 0}), std::invalid_argument);
}

// Sparse shared memory is not a worker's own.
TEST_F(PoolMemoryOnce, SharedMemoryDoesNotCount) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    Pool pool(limited({.workers = 1}));
    mp::Array<char> large(400 << 20);
    EXPECT_EQ(pool.submit(
                      [](mp::Array<char> array) {
                          array.span()[300 << 20] = 5;
                          return static_cast<int>(array.size() >> 20);
                      },
                      large)
                  .get(),
              400);
}

}  // namespace
