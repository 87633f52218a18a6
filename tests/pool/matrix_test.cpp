// {error, clean exit, crash, stop, hang} x {serialise the task, deserialise it, run it, serialise the result,
// deserialise that}: every cell ends in bounded time, costs what it must, and leaves the pool - or nothing at all -
// behind.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "pool_fixture.hpp"
#include "support/child.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::TaskTimeout;
using mp::WorkerLost;

using PoolMatrix = PoolByEveryMethod;
MP_EVERY_METHOD(PoolMatrix);

enum class Step { none, save, load, run, save_result, load_result };
enum class Way { error, exit, crash, stop, hang };

std::unique_ptr<Event> gone_off;  // of a caller that is a fork of the test

void fail(Way way) {
    if (gone_off) gone_off->set();
    if (way == Way::error) throw std::runtime_error("as told");
    if (way == Way::exit) std::exit(0);
    if (way == Way::crash) ::raise(SIGSEGV);
    if (way == Way::stop) ::raise(SIGSTOP);
    while (true) ::pause();
}

// Fails where it is told to, in the way it is told to. The result fails in the last two steps, what is sent in the
// others.
struct Bomb {
    Step step = Step::none;
    Way way = Way::error;
    bool result = false;

    template <class Archive>
    void save(Archive& archive) const {
        if (step == (result ? Step::save_result : Step::save)) fail(way);
        archive(step, way, result);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(step, way, result);
        if (step == (result ? Step::load_result : Step::load)) fail(way);
    }
};

Bomb carry(Bomb bomb) {
    if (bomb.step == Step::run) fail(bomb.way);
    bomb.result = true;
    return bomb;
}

std::vector<Bomb> third_of_five(Step step, Way way) {
    std::vector<Bomb> bombs(5);
    bombs[2] = {step, way};
    return bombs;
}

std::string cell(Step step, Way way) {
    return "step " + std::to_string(int(step)) + ", way " + std::to_string(int(way));
}

constexpr Step in_the_worker[] = {Step::load, Step::run, Step::save_result};
constexpr Step in_the_caller[] = {Step::save, Step::load_result};

// cpython: ExecutorDeadlockTest (error x where it happens)
// cpython: _TestPool.test_map_unplicklable
// cpython: _TestPoolWorkerErrors.test_unpickleable_result
TEST_P(PoolMatrix, AnErrorAtAnyStepReachesTheCaller) {
    Pool pool(options());
    for (const Step step : {Step::save, Step::load, Step::run, Step::save_result, Step::load_result}) {
        SCOPED_TRACE(cell(step, Way::error));
        for (int i = 0; i < 20; ++i)
            EXPECT_EQ(error_of<std::runtime_error>([&] { pool.submit(carry, Bomb{step, Way::error}).get(); }),
                      "as told");
        EXPECT_EQ(error_of<std::runtime_error>([&] { pool.map(carry, third_of_five(step, Way::error)); }), "as told");
        EXPECT_TRUE(pool.submit(carry, Bomb{}).get().result);
    }
}

// cpython: ExecutorDeadlockTest (clean exit and hard crash x where it happens in the worker)
TEST_P(PoolMatrix, AnEndOfTheWorkerAtAnyStepIsALostWorker) {
    MP_SKIP_UNDER_SANITIZERS("a crash ends with an exit code there");
    Pool pool(options());
    for (const Way way : {Way::exit, Way::crash}) {
        for (const Step step : in_the_worker) {
            SCOPED_TRACE(cell(step, way));
            try {
                pool.submit(carry, Bomb{step, way}).get();
                FAIL() << "nothing was thrown";
            } catch (const WorkerLost& lost) {
                EXPECT_EQ(lost.called_exit(), way == Way::exit);
                if (way == Way::crash)
                    EXPECT_EQ(lost.signal(), SIGSEGV);
                else
                    EXPECT_EQ(lost.status().code(), 0);
            }
            const auto outcomes = pool.map_outcomes(carry, third_of_five(step, way));
            for (std::size_t i = 0; i < 5; ++i) ASSERT_EQ(outcomes[i].has_value(), i != 2) << i;
            ASSERT_TRUE(outcomes[2].error().worker_lost());
            EXPECT_EQ(outcomes[2].error().worker_lost()->task_index(), 2U);
        }
    }
    EXPECT_TRUE(pool.submit(carry, Bomb{}).get().result);
}

// cpython: ExecutorDeadlockTest (stop x where it happens in the worker)
TEST_P(PoolMatrix, AWorkerThatStopsOrHangsAtAnyStepIsOutOfTime) {
    auto given = options();
    given.stop_ladder = {.token = 0s, .terminate = 0s};
    Pool pool(given);
    const mp::CallOptions limited{.task_timeout = 500ms};
    for (const Way way : {Way::stop, Way::hang}) {
        for (const Step step : in_the_worker) {
            SCOPED_TRACE(cell(step, way));
            error_of<TaskTimeout>([&] { pool.apply(limited, carry, Bomb{step, way}); });
            const auto outcomes = pool.map_outcomes(carry, third_of_five(step, way), limited);
            for (std::size_t i = 0; i < 5; ++i) ASSERT_EQ(outcomes[i].has_value(), i != 2) << i;
            EXPECT_TRUE(outcomes[2].error().as<TaskTimeout>());
        }
    }
    EXPECT_TRUE(pool.submit(carry, Bomb{}).get().result);
}

// Large; its result kills when all but its end has been written.
struct LargeBomb {
    std::vector<char> body;
    bool armed = false;

    template <class Archive>
    void save(Archive& archive) const {
        archive(body);
        if (armed) ::raise(SIGKILL);
        archive(armed);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(body, armed);
    }
};
LargeBomb make_large(bool armed) { return {std::vector<char>(32 << 20, 'x'), armed}; }

// cpython: ExecutorDeadlockTest (crash in the middle of writing a large result)
TEST_P(PoolMatrix, AWorkerKilledInTheMidstOfALargeResultIsALostWorker) {
    Pool pool(options());
    for (int i = 0; i < 3; ++i) {
        error_of<WorkerLost>([&] { pool.apply(make_large, true); });
        const auto outcomes = pool.map_outcomes(make_large, std::vector<char>{false, true, false});
        for (std::size_t n = 0; n < 3; ++n) EXPECT_EQ(outcomes[n].has_value(), n != 1) << n;
    }
    EXPECT_EQ(pool.apply(make_large, false).body.size(), 32U << 20);
}

// cpython: ExecutorDeadlockTest (shutdown racing with a dying worker)
TEST_P(PoolMatrix, LeavingWhileAWorkerDiesHangsNobody) {
    for (int i = 0; i < 10; ++i) {
        std::vector<mp::Future<void>> futures;
        {
            Pool pool(options());
            for (int k = 0; k < 4; ++k) futures.push_back(pool.submit([](bool dies) { if (dies) ::raise(SIGKILL); }, k % 2 == 0));
            pool.close();
            if (i % 2 == 0) pool.join();
        }
        for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(futures[k].outcome().has_value(), k % 2 != 0) << k;
    }
}

// cpython: ExecutorDeadlockTest (shutdown without wait plus unserialisable task)
TEST_P(PoolMatrix, LeavingAfterATaskThatCannotBeSentHangsNobody) {
    mp::Future<Bomb> good;
    {
        Pool pool(options());
        good = pool.submit(carry, Bomb{});
        error_of<std::runtime_error>([&] { static_cast<void>(pool.submit(carry, Bomb{Step::save, Way::error})); });
    }
    EXPECT_TRUE(good.get().result);
}

// A caller that ends, or is ended, in a step of its own; its pool lives at that moment.
void expect_nothing_outlives(const mp::PoolOptions& options, Step step, Way way, bool map) {
    SCOPED_TRACE(cell(step, way) + (map ? " of map" : " of submit"));
    gone_off = std::make_unique<Event>();
    const auto before = take_snapshot(family_root());
    {
        Child caller([&] {
            ::alarm(static_cast<unsigned>(patience.count()));  // an end that hangs is one by another signal
            Pool pool(options);
            if (map)
                pool.map(carry, third_of_five(step, way));
            else
                pool.submit(carry, Bomb{step, way}).get();
            return 9;
        });
        EXPECT_TRUE(gone_off->wait(patience));
        if (way == Way::stop) {
            int status = 0;
            EXPECT_EQ(::waitpid(caller.pid(), &status, WUNTRACED), caller.pid());
            EXPECT_TRUE(WIFSTOPPED(status));
        }
        if (way == Way::stop || way == Way::hang) caller.kill();
        const int expected = way == Way::exit ? 0 : way == Way::crash ? -SIGSEGV : -SIGKILL;
        EXPECT_EQ(caller.wait(), expected);
    }
    EXPECT_THAT(wait_for_no_leaks(before, 5s), ::testing::IsEmpty());
    gone_off.reset();
}

// cpython: ExecutorDeadlockTest (exit, crash, stop x where it happens in the parent)
TEST_P(PoolMatrix, ACallerThatEndsStopsOrHangsAtAnyStepOfItsOwnTakesItsWorkersAlong) {
    MP_SKIP_UNDER_SANITIZERS("a crash ends with an exit code there, and forks of threads are not supported");
    for (const Way way : {Way::exit, Way::crash, Way::stop, Way::hang})
        for (const Step step : in_the_caller)
            for (const bool map : {false, true}) expect_nothing_outlives(options(), step, way, map);
}

int apply_bomb(const Bomb&, int x) { return x; }

// cpython: ExecutorDeadlockTest: a callable that cannot be made, whichever worker tries
TEST_P(PoolMatrix, ACallableThatCannotBeMadeCostsItsTasksAndEndsItsMap) {
    MP_SKIP_UNDER_SANITIZERS("a crash ends with an exit code there");
    auto given = options();
    given.stop_ladder = {.token = 0s, .terminate = 0s};
    Pool pool(given);
    const auto with = [](Step step, Way way) { return mp::bind(apply_bomb, Bomb{step, way}); };
    EXPECT_EQ(error_of<std::runtime_error>([&] { pool.submit(with(Step::load, Way::error), 1).get(); }), "as told");
    EXPECT_EQ(error_of<std::runtime_error>([&] { pool.map(with(Step::load, Way::error), mp::range(9)); }), "as told");
    EXPECT_EQ(error_of<std::runtime_error>([&] { pool.map(with(Step::save, Way::error), mp::range(9)); }), "as told");
    for (const Way way : {Way::exit, Way::crash}) {
        error_of<WorkerLost>([&] { pool.submit(with(Step::load, way), 1).get(); });
        error_of<WorkerLost>([&] { pool.map(with(Step::load, way), mp::range(9)); });
    }
    const mp::CallOptions limited{.task_timeout = 100ms};
    for (const Way way : {Way::stop, Way::hang}) {
        error_of<TaskTimeout>([&] { pool.apply(limited, with(Step::load, way), 1); });
        error_of<TaskTimeout>([&] { pool.map(with(Step::load, way), mp::range(4), limited); });
    }
    EXPECT_EQ(pool.map(mp::bind(apply_bomb, Bomb{}), mp::range(3)), (std::vector{0, 1, 2}));
}

// Tells when it is being made, and crashes in that when it may; until then it hangs.
struct CrashesWhenMade {
    mp::Event begun, may_crash;
    template <class Archive>
    void save(Archive& archive) const {
        archive(begun, may_crash);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(begun, may_crash);
        begun.set();
        may_crash.wait();
        ::raise(SIGSEGV);
    }
};

int apply_late(const CrashesWhenMade&, int x) { return x; }
int same(int x) { return x; }

TEST_P(PoolMatrix, ACrashWhileACallableIsMadeForATaskThatWasGivenUpIsNotBlamedOnTheNext) {
    auto given = options(1);
    given.stop_ladder.token = patience;
    Pool pool(given);
    mp::Event begun, may_crash;
    auto given_up = pool.submit(mp::bind(apply_late, CrashesWhenMade{begun, may_crash}), 1);
    ASSERT_TRUE(begun.wait_for(patience));
    EXPECT_TRUE(given_up.cancel());
    auto innocent = pool.submit(same, 3);
    may_crash.set();
    EXPECT_TRUE(innocent.outcome().has_value());
}

// Whoever made it has nothing to do any more that could run out of time; what waits behind it must not wait for ever.
TEST_P(PoolMatrix, ACallableThatHangsWhileItIsMadeForACallThatWasGivenUpDoesNotKeepItsWorker) {
    for (const bool limited : {true, false}) {
        for (const bool map : {true, false}) {
            SCOPED_TRACE(std::string(limited ? "limited " : "unlimited ") + (map ? "map" : "task"));
            Pool pool(options(1));
            mp::CallOptions call;
            if (limited) call.task_timeout = 300ms;
            mp::Event begun;
            const auto hangs = mp::bind(apply_late, CrashesWhenMade{begun, {}});
            if (map) {
                auto future = pool.map_async(hangs, mp::range(4), call);
                ASSERT_TRUE(begun.wait_for(patience));
                EXPECT_TRUE(future.cancel());
            } else {
                auto future = pool.submit(call, hangs, 1);
                ASSERT_TRUE(begun.wait_for(patience));
                EXPECT_TRUE(future.cancel());
            }
            auto behind = pool.submit(same, 3);
            if (!behind.wait_for(patience)) pool.terminate();
            EXPECT_TRUE(behind.outcome().has_value()) << "the pool hangs";
        }
    }
}

}  // namespace
