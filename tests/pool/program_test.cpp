// Programs that end while their pools live: none hangs, and nothing outlives them.
#include <signal.h>

#include <string>
#include <vector>

#include "pool_fixture.hpp"
#include "support/marked_processes.hpp"
#include "support/run_program.hpp"

namespace {

using namespace mp::test;

using PoolProgram = PoolByEveryMethod;
MP_EVERY_METHOD(PoolProgram);

// cpython: _TestPoolWorkerLifetime.test_worker_finalization_via_atexit_handler_of_multiprocessing
// cpython: ExecutorShutdownTest: pending work completes at program exit, and a program that does not wait for it does not hang
TEST_P(PoolProgram, MayEndInAnyWayWhileItsPoolsLive) {
    MP_SKIP_UNDER_SANITIZERS("a program that ends early leaks, and says so");
    for (const std::string way : {"return", "exit", "quick_exit", "_exit", "thread_exit", "throw", "abort"}) {
        SCOPED_TRACE(way);
        const MarkedProcesses marked;
        const auto result = run_program({POOL_PROGRAMS "leaves_pools", std::string(mp::to_string(GetParam())), way},
                                        {.environment = {marked.variable()}});
        EXPECT_FALSE(result.timed_out);
        EXPECT_EQ(result.exit_code, way == "throw" || way == "abort" ? -SIGABRT : 3) << result.err;
        EXPECT_EQ(result.out, "used\n");
        EXPECT_TRUE(eventually([&] { return marked.all().empty(); }, 10s));
    }
}

}  // namespace
