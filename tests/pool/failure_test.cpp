// Errors and deaths: what they cost, and what they tell.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::PoolOptions;
using mp::WorkerLost;

using PoolFailure = PoolByEveryMethod;
MP_EVERY_METHOD(PoolFailure);
using PoolFailureOnce = PoolTest;

int same(int x) { return x; }
[[gnu::noinline]] int deep(int n) {
    volatile char room[4096];
    room[0] = static_cast<char>(n);
    return n < 0 ? 0 : deep(n + 1) + room[0];
}

// cpython: _TestPool.test_wrapped_exception
// cpython: _TestPool.test_traceback
// cpython: ProcessPoolExecutorTest: remote stack text
// cpython: _TestPoolWorkerErrors.test_async_error_callback
TEST_P(PoolFailure, AnExceptionArrivesAsItsOwnTypeAndAsRemoteError) {
    Pool pool(options());
    const auto future = pool.submit([](int x) -> int { throw std::invalid_argument("bad " + std::to_string(x)); }, 7);
    EXPECT_EQ(error_of<std::invalid_argument>([&] { future.get(); }), "bad 7");
    try {
        future.get();
    } catch (const mp::RemoteError& error) {
        EXPECT_EQ(error.type_name(), "std::invalid_argument");
        EXPECT_NE(error.pid(), ::getpid());
        EXPECT_EQ(error.attempt(), 1);
    }
    struct Own {};
    error_of<mp::TaskError>([&] { pool.apply([] { throw Own(); }); });
    error_of<std::bad_alloc>([&] { pool.apply([] { throw std::bad_alloc(); }); });
    error_of<mp::Error>([&] { pool.apply([] { throw std::string(100'000, 'x').size(); }); });
}

// cpython: ProcessPoolExecutorTest: a killed child (better: it costs one task)
TEST_P(PoolFailure, ACrashCostsExactlyOneElementAndSaysWhere) {
    MP_SKIP_UNDER_SANITIZERS("a crash ends with an exit code there");
    Pool pool(options());
    const auto outcomes = pool.map_outcomes(
        [](int x) {
            std::uintptr_t nowhere = 0x10;
            asm volatile("" : "+r"(nowhere));  // so that the compiler does not see it
            if (x == 500) *reinterpret_cast<volatile int*>(nowhere) = 1;
            return x;
        },
        mp::range(1000), {.label = "crashing"});
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(outcomes[static_cast<std::size_t>(i)].has_value(), i != 500) << i;
    const auto* lost = outcomes[500].error().worker_lost();
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->task_index(), 500U);
    EXPECT_EQ(lost->signal(), SIGSEGV);
    EXPECT_EQ(lost->address(), 0x10U);
    EXPECT_EQ(lost->label(), "crashing");
    EXPECT_GT(lost->pid(), 0);
    EXPECT_THAT(outcomes[500].error().to_string(), ::testing::HasSubstr("SIGSEGV"));
    const auto pids = pool.pids();
    EXPECT_EQ(std::count(pids.begin(), pids.end(), lost->pid()), 0);
}

TEST_P(PoolFailure, EveryWayToEndAProcessInATaskIsALostWorker) {
    Pool pool(options());
    const auto lost = [&](auto&& function) -> std::optional<WorkerLost> {
        try {
            pool.submit(function).get();
        } catch (const WorkerLost& error) {
            return error;
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
        }
        return std::nullopt;
    };
    EXPECT_EQ(lost([] { std::exit(3); })->status().code(), 3);
    EXPECT_EQ(lost([] { ::_exit(4); })->status().code(), 4);
    EXPECT_TRUE(lost([] { std::quick_exit(0); })->called_exit());
    EXPECT_EQ(lost([] { std::abort(); })->signal(), SIGABRT);
    EXPECT_EQ(lost([] { ::kill(::getpid(), SIGKILL); })->signal(), SIGKILL);
    EXPECT_EQ(lost([] { ::kill(::getpid(), SIGTERM); })->signal(), SIGTERM);
    EXPECT_EQ(lost([] { std::terminate(); })->signal(), SIGABRT);
    EXPECT_TRUE(lost([] { ::pthread_exit(nullptr); }));
#if !MP_UNDER_SANITIZER
    const auto overflow = lost([] { deep(1); });
    ASSERT_TRUE(overflow);
    EXPECT_EQ(overflow->signal(), SIGSEGV);
    ASSERT_TRUE(overflow->status().crash());
    EXPECT_TRUE(overflow->status().crash()->stack_overflow);
#endif
    EXPECT_EQ(pool.submit(same, 3).get(), 3);
}

TEST_P(PoolFailure, AStoppedWorkerThatIsKilledIsALostWorker) {
    Pool pool(options(1));
    const pid_t pid = pool.submit([] { return ::getpid(); }).get();
    auto future = pool.submit([] {
        ::raise(SIGSTOP);
        return 1;
    });
    EXPECT_FALSE(future.wait_for(50ms));
    ::kill(pid, SIGKILL);
    error_of<WorkerLost>([&] { future.get(); });
    EXPECT_EQ(pool.submit(same, 1).get(), 1);
}

TEST_P(PoolFailure, AWorkerKilledBetweenTasksCostsNothing) {
    Pool pool(options());
    for (int i = 0; i < 10; ++i) {
        const pid_t victim = pool.submit([] { return ::getpid(); }).get();
        ::kill(victim, SIGKILL);
        EXPECT_EQ(pool.submit(same, i).get(), i);
        EXPECT_EQ(pool.map(same, mp::range(4)), (std::vector{0, 1, 2, 3}));
    }
}

// A task that kills every worker that tries it.
TEST_P(PoolFailure, AWorkerThatDiesOfWhatRunsOnAllIsTheErrorOfTheCallAndNoOther) {
    MP_SKIP_UNDER_SANITIZERS("a crash has a report of its own there");
    Pool pool(options(3));
    const pid_t victim = pool.pids().at(1);
    const auto die_there = [](pid_t there) {
        if (::getpid() == there) ::raise(SIGKILL);
        return 1;
    };
    EXPECT_THAT(error_of<WorkerLost>([&] { pool.run_on_all(die_there, victim); }), ::testing::HasSubstr("SIGKILL"));
    EXPECT_EQ(pool.run_on_all(die_there, victim), (std::vector{1, 1, 1})) << "whoever replaces it takes part";
}

TEST_P(PoolFailure, APoisonTaskIsTriedAsOftenAsAskedAndNoMore) {
    PoolOptions with_retries = options();
    with_retries.retries = {.crash = 3};
    Pool pool(with_retries);
    mp::Value<int> tries(0);
    try {
        pool.submit(mp::bind([](mp::Value<int>& count) { ++count, std::abort(); }, tries)).get();
        FAIL() << "nothing was thrown";
    } catch (const WorkerLost& lost) {
        EXPECT_EQ(lost.attempt(), 4);
    }
    EXPECT_EQ(tries.load(), 4);
    tries.store(0);
    const auto outcomes = pool.map_outcomes(mp::bind(
                                                [](mp::Value<int>& count, int x) {
                                                    if (x == 5) ++count, std::abort();
                                                    return x;
                                                },
                                                tries),
                                            mp::range(50), {.retries = mp::Retries{.crash = 1}});
    EXPECT_EQ(tries.load(), 2);
    for (int i = 0; i < 50; ++i) ASSERT_EQ(outcomes[static_cast<std::size_t>(i)].has_value(), i != 5) << i;
    EXPECT_EQ(outcomes[5].error().worker_lost()->attempt(), 2);
}

TEST_P(PoolFailure, ATaskThatThrowsIsTriedAgainWhenAsked) {
    PoolOptions with_retries = options();
    with_retries.retries = {.exception = 2};
    Pool pool(with_retries);
    mp::Value<int> tries(0);
    const auto third_time = [](mp::Value<int>& count, int x) {
        if (x == 0 && ++count < 3) throw std::runtime_error("not yet");
        return x;
    };
    EXPECT_EQ(pool.submit(mp::bind(third_time, tries), 0).get(), 0);
    EXPECT_EQ(tries.load(), 3);
    tries.store(0);
    EXPECT_EQ(pool.map(mp::bind(third_time, tries), mp::range(3)), (std::vector{0, 1, 2}));
    EXPECT_EQ(tries.load(), 3);
    tries.store(-10);
    try {
        pool.map(mp::bind(third_time, tries), mp::range(3));
        FAIL() << "nothing was thrown";
    } catch (const mp::RemoteError& error) {
        EXPECT_EQ(error.attempt(), 3);
        EXPECT_EQ(error.task_index(), 0U);
    }
    EXPECT_EQ(tries.load(), -7);
}

// Kills random workers of a pool until told to stop; remembers whom. None that only starts: a pool whose workers never come
// to work is broken.
class Killer {
  public:
    Killer(Pool& pool, std::chrono::microseconds pause, unsigned seed) {
        thread_ = std::jthread([this, &pool, pause, seed](const std::stop_token& stop) {
            std::mt19937 random(seed);
            while (!stop.stop_requested()) {
                std::this_thread::sleep_for(pause);
                const auto workers = pool.stats().workers;
                const auto& worker = workers[random() % workers.size()];
                if (worker.pid == 0 || worker.state != mp::WorkerState::working) continue;
                const pid_t victim = worker.pid;
                if (::kill(victim, SIGKILL) == 0 && killed_.insert(victim).second) ++kills_;
            }
        });
    }
    int kills() const { return kills_; }
    const std::set<pid_t>& stop() {
        thread_ = {};
        return killed_;
    }

  private:
    std::set<pid_t> killed_;
    std::atomic<int> kills_ = 0;
    std::jthread thread_;
};

long work(int x) {
    long sum = x;
    for (long i = 0; i < 20'000; ++i) {
        asm volatile("" : "+r"(sum));
        sum += i;
    }
    return sum;
}

TEST_F(PoolFailureOnce, ALongMapUnderFireGivesEveryResultWithRetries) {
    Pool pool({.workers = 3, .retries = {.crash = 1000}});
    const long base = work(0);
    for (unsigned round = 0; round < 3; ++round) {
        Killer killer(pool, 3ms, round);
        do {
            const auto results = pool.map(work, mp::range(20'000));
            for (int i = 0; i < 20'000; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], base + i);
        } while (killer.kills() <= 5);
    }
}

TEST_F(PoolFailureOnce, ALongMapUnderFireLosesOnlyWhatRanOnTheKilled) {
    Pool pool({.workers = 3});
    const auto text = [](int x) { return std::to_string(work(x) - work(0)); };
    Killer killer(pool, 4ms, 5);
    const auto outcomes = pool.map_outcomes(text, mp::range(10'000));
    const auto& killed = killer.stop();
    std::set<pid_t> blamed;
    for (int i = 0; i < 10'000; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        if (outcome) {
            ASSERT_EQ(*outcome, std::to_string(i));
        } else {
            const auto* lost = outcome.error().worker_lost();
            ASSERT_TRUE(lost) << outcome.error().what();
            EXPECT_EQ(lost->signal(), SIGKILL);
            EXPECT_EQ(lost->task_index(), static_cast<std::uint64_t>(i));
            EXPECT_TRUE(killed.contains(lost->pid()));
            EXPECT_TRUE(blamed.insert(lost->pid()).second) << "a death cost two elements";
        }
    }
}

TEST_F(PoolFailureOnce, AStreamOfTasksUnderFireEndsWithEveryResultOrOneLossADeath) {
    for (const int retries : {1000, 0}) {
        Pool pool({.workers = 3, .retries = {.crash = retries}});
        const long base = work(0);
        Killer killer(pool, 4ms, 9);
        std::vector<mp::Future<long>> futures;
        for (int i = 0; i < 10'000; ++i) futures.push_back(pool.submit(work, i));
        std::set<pid_t> blamed;
        for (int i = 0; i < 10'000; ++i) {
            try {
                ASSERT_EQ(futures[static_cast<std::size_t>(i)].get(), base + i);
            } catch (const WorkerLost& lost) {
                ASSERT_EQ(retries, 0);
                EXPECT_TRUE(blamed.insert(lost.pid()).second) << "a death cost two tasks";
            }
        }
        const auto& killed = killer.stop();
        for (const pid_t pid : blamed) EXPECT_TRUE(killed.contains(pid));
    }
}

// Writes over everything the worker shares with nobody but the caller.
void scribble(unsigned char byte, bool header_only) {
    std::FILE* maps = std::fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long from = 0, to = 0;
    while (std::fgets(line, sizeof line, maps))
        if (std::string(line).find("multiprocessing lane") != std::string::npos && std::sscanf(line, "%lx-%lx", &from, &to) == 2) break;
    std::fclose(maps);
    if (!from) ::_exit(77);
    auto* memory = reinterpret_cast<unsigned char*>(from);
    const std::size_t size = header_only ? 4096 : 4096 + (1 << 19) + (1 << 16);
    if (byte == 1) {
        std::mt19937 random(size);
        for (std::size_t i = 0; i < size; ++i) memory[i] = static_cast<unsigned char>(random());
    } else {
        std::memset(memory, byte, size);
    }
}

TEST_F(PoolFailureOnce, AWorkerThatWritesOverItsLaneCostsAtMostItsTasks) {
    Pool pool(2);
    for (const bool dies : {true, false}) {
        for (const bool header_only : {true, false}) {
            for (const int byte : {0, 255, 1, 16}) {
                SCOPED_TRACE(std::to_string(byte) + (dies ? " dies" : " lives") + (header_only ? " header" : " all"));
                auto hostile = pool.submit(
                    [](int b, bool header, bool die) {
                        scribble(static_cast<unsigned char>(b), header);
                        if (die) ::kill(::getpid(), SIGKILL);
                        return b;
                    },
                    byte, header_only, dies);
                std::vector<mp::Future<int>> others;
                for (int i = 0; i < 20; ++i) others.push_back(pool.submit(same, i));
                if (!hostile.wait_for(2s)) {
                    // It may hang for ever in the mess it made of its own lane: then it is the user who ends it.
                    for (const pid_t pid : pool.pids()) ::kill(pid, SIGKILL);
                }
                static_cast<void>(hostile.outcome());
                for (auto& other : others) static_cast<void>(other.outcome());
                const auto outcomes = pool.map_outcomes(
                    [byte, header_only](int x) {
                        if (x == 50) {
                            scribble(static_cast<unsigned char>(byte), header_only);
                            ::kill(::getpid(), SIGKILL);
                        }
                        return x;
                    },
                    mp::range(100), {.chunk_size = 10});
                int bad = 0;
                for (int i = 0; i < 100; ++i) {
                    if (outcomes[static_cast<std::size_t>(i)]) ASSERT_EQ(*outcomes[static_cast<std::size_t>(i)], i);
                    else ++bad;
                }
                EXPECT_LE(bad, 20);
                EXPECT_GE(bad, 1);
            }
        }
    }
    EXPECT_EQ(pool.map(same, mp::range(3)), (std::vector{0, 1, 2}));
}

}  // namespace
