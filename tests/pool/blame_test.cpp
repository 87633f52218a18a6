// What a lost worker tells: how it ended, where, by what call, in which thread.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::WorkerLost;
using ::testing::HasSubstr;

using PoolBlame = PoolByEveryMethod;
MP_EVERY_METHOD(PoolBlame);
using PoolBlameOnce = PoolTest;

template <class F>
std::optional<WorkerLost> lost_of(Pool& pool, F function) {
    try {
        pool.submit(function).get();
        ADD_FAILURE() << "it came back";
    } catch (const WorkerLost& error) {
        return error;
    } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
    }
    return std::nullopt;
}

TEST_P(PoolBlame, SaysWhichCallEndedTheProcess) {
    Pool pool(options(1));
    const auto call_of = [&](auto function) {
        const auto lost = lost_of(pool, function);
        EXPECT_TRUE(lost && lost->called_exit());
        return lost ? lost->details().exit_call : std::string();
    };
    EXPECT_EQ(call_of([] { std::exit(3); }), "exit");
    EXPECT_EQ(call_of([] { ::_exit(3); }), "_exit");
    EXPECT_EQ(call_of([] { std::quick_exit(3); }), "quick_exit");
    EXPECT_EQ(call_of([] { ::pthread_exit(nullptr); }), "pthread_exit");
    const auto lost = lost_of(pool, [] { std::exit(3); });
    EXPECT_THAT(lost->what(), HasSubstr("exited with code 3 (the task called exit)"));
}

TEST_P(PoolBlame, OfPthreadExitInAnElementOfAMapIsThatElements) {
    Pool pool(options(1));
    const auto outcomes = pool.map_outcomes(
        [](int n) {
            if (n == 5) ::pthread_exit(nullptr);
            return n;
        },
        mp::range(10));
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(outcomes[i].has_value(), i != 5) << i;
    ASSERT_TRUE(outcomes[5].error().worker_lost());
    EXPECT_EQ(outcomes[5].error().worker_lost()->details().exit_call, "pthread_exit");
}

[[gnu::noinline]] int dig(int n) {
    volatile char room[4096];
    room[0] = static_cast<char>(n);
    return n < 0 ? 0 : dig(n + 1) + room[0];
}

TEST_P(PoolBlame, OfAStackOverflowNamesTheThread) {
    MP_SKIP_UNDER_SANITIZERS("the sanitizer decides how the process ends");
    Pool pool(options(1));
    const auto lost = lost_of(pool, [] {
        std::thread digger([] {
            ::pthread_setname_np(::pthread_self(), "digger");
            dig(1);
        });
        digger.join();
    });
    ASSERT_TRUE(lost && lost->status().crash());
    EXPECT_TRUE(lost->status().crash()->stack_overflow);
    EXPECT_FALSE(lost->status().crash()->main_thread);
    EXPECT_EQ(lost->status().crash()->thread_name, "digger");
    EXPECT_THAT(lost->what(), HasSubstr("(stack overflow)"));
    EXPECT_THAT(lost->what(), HasSubstr("in thread \"digger\" in "));
    EXPECT_THAT(lost->what(), HasSubstr("dig (blame_test.cpp:"));
}

inline __attribute__((always_inline)) void store_nowhere() {
    std::uintptr_t nowhere = 0x10;
    asm volatile("" : "+r"(nowhere));
    *reinterpret_cast<volatile int*>(nowhere) = 1;
}
[[gnu::noinline]] int read_table(int n) {
    store_nowhere();
    return n;
}

TEST_P(PoolBlame, OfACrashShowsInlinedCalls) {
    MP_SKIP_UNDER_SANITIZERS("the sanitizer decides how the process ends");
    Pool pool(options(1));
    const auto lost = lost_of(pool, [] { return read_table(1); });
    ASSERT_TRUE(lost);
    const auto frames = lost->stack().frames();
    const auto inlined = std::find_if(frames.begin(), frames.end(), [](const auto& frame) { return frame.inlined; });
    ASSERT_NE(inlined, frames.end()) << lost->stack();
    EXPECT_THAT(inlined->function, HasSubstr("store_nowhere"));
    EXPECT_THAT(std::next(inlined)->function, HasSubstr("read_table"));
    EXPECT_THAT(std::next(inlined)->file, HasSubstr("blame_test.cpp"));
    EXPECT_GT(lost->status().max_rss(), 0U);
}

TEST_P(PoolBlame, OfACrashIsNotTheWorkersWhenAChildThatItForkedCrashes) {
    MP_SKIP_UNDER_SANITIZERS("the sanitizer decides how the process ends");
    Pool pool(options(1));
    const auto fork_and = [](bool crash) {
        const pid_t child = ::fork();
        if (child == 0) {
            if (crash) store_nowhere();
            std::exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return crash ? WTERMSIG(status) : WEXITSTATUS(status);
    };
    const pid_t worker = pool.pids().front();
    EXPECT_EQ(pool.submit(fork_and, true).get(), SIGSEGV);
    EXPECT_EQ(pool.submit(fork_and, false).get(), 0);
    EXPECT_EQ(pool.pids().front(), worker);
    const auto lost = lost_of(pool, [] { ::_exit(1); });
    EXPECT_EQ(lost->details().exit_call, "_exit");
}

// A core file takes as long to write as there is memory in it. Told by how long the process lives on.
TEST_F(PoolBlameOnce, OfACrashIsKnownWhileTheCoreIsStillBeingWritten) {
    MP_SKIP_UNDER_SANITIZERS("the sanitizer decides how the process ends");
    std::ifstream file("/proc/sys/kernel/core_pattern");
    std::string pattern;
    std::getline(file, pattern);
    rlimit before{};
    ::getrlimit(RLIMIT_CORE, &before);
    if (before.rlim_max == 0) GTEST_SKIP() << "no cores may be written here";
    char folder[] = "/tmp/mp-core-XXXXXX";
    ASSERT_TRUE(::mkdtemp(folder));
    {
        Pool pool(1);
        const std::string where = folder;
        try {
            pool.submit(
                    [](std::string place) {
                        if (::chdir(place.c_str()) != 0) return;
                        rlimit cores{64 << 20, 64 << 20};
                        ::setrlimit(RLIMIT_CORE, &cores);
                        store_nowhere();
                    },
                    where)
                .get();
            ADD_FAILURE();
        } catch (const WorkerLost& lost) {
            EXPECT_EQ(lost.signal(), SIGSEGV);
            EXPECT_TRUE(lost.details().ending || lost.status().core_dumped()) << lost.what();
            EXPECT_FALSE(lost.stack().empty());
        }
        EXPECT_EQ(pool.submit([] { return 7; }).get(), 7);
    }
    EXPECT_EQ(std::system((std::string("rm -rf ") + folder).c_str()), 0);
}

}  // namespace
