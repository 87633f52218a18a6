#include <multiprocessing/errors.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <sstream>
#include <thread>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"
#include "support/party.hpp"
#include "support/round_trip.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

template <class Predicate>
bool eventually(Predicate predicate) {
    for (const auto end = Clock::now() + 20s; Clock::now() < end; std::this_thread::yield()) {
        if (predicate()) return true;
    }
    return false;
}

// cpython: _TestSemaphore.test_semaphore, _TestSemaphore.test_timeout
TEST(Semaphore, CountsPermitsAlsoBeyondTheInitialNumber) {
    Semaphore semaphore(2);
    EXPECT_EQ(semaphore.value(), 2U);
    semaphore.acquire();
    EXPECT_TRUE(semaphore.try_acquire());
    EXPECT_EQ(semaphore.value(), 0U);
    EXPECT_FALSE(semaphore.try_acquire());
    const auto start = Clock::now();
    EXPECT_FALSE(semaphore.try_acquire_for(20ms));
    EXPECT_GE(Clock::now() - start, 20ms);
    EXPECT_FALSE(semaphore.try_acquire_for(-1s));
    semaphore.release();
    semaphore.release(3);
    EXPECT_EQ(semaphore.value(), 4U);
    std::scoped_lock hold(semaphore);
    EXPECT_EQ(test::round_trip(semaphore).value(), 3U);
}

class Synchronising : public test::EveryMethod {};

TEST_P(Synchronising, ASemaphoreLetsSoManyThroughAndWakesWaiters) {
    Semaphore semaphore(3);
    Value<int> inside(0), most(0), done(0);
    const auto work = [](Semaphore permits, Value<int> in, Value<int> top, Value<int> finished) {
        for (int i = 0; i < 300; ++i) {
            std::unique_lock hold(permits);
            const int now = ++in;
            top.update([&](int old) { return std::max(old, now); });
            --in;
        }
        ++finished;
        return 0;
    };
    std::vector<test::Party> parties;
    for (int i = 0; i < 5; ++i) parties.emplace_back(GetParam(), work, semaphore, inside, most, done);
    work(semaphore, inside, most, done);
    for (auto& party : parties) EXPECT_EQ(party.wait(), 0);
    EXPECT_LE(most.load(), 3);
    EXPECT_EQ(done.load(), 6);
    EXPECT_EQ(semaphore.value(), 3U);
}

// cpython: _TestSemaphore.test_bounded_semaphore
TEST(BoundedSemaphore, NeverExceedsItsInitialNumber) {
    BoundedSemaphore semaphore(2);
    EXPECT_THROW(semaphore.release(), SystemError);
    semaphore.acquire();
    semaphore.acquire();
    EXPECT_EQ(semaphore.value(), 0U);
    EXPECT_FALSE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.try_acquire_for(10ms));
    test::Child child([&] { return semaphore.release(), 0; });
    EXPECT_EQ(child.wait(), 0);
    semaphore.release();
    EXPECT_THROW(semaphore.release(), SystemError);
    EXPECT_EQ(test::round_trip(semaphore).value(), 2U);
}

TEST(BoundedSemaphore, TakesPermitsBackFromTheKilled) {
    BoundedSemaphore semaphore(3);
    {
        test::Child child([&] {
            semaphore.acquire();
            semaphore.acquire();
            semaphore.acquire();
            ::raise(SIGKILL);
            return 0;
        });
        EXPECT_EQ(child.wait(), -SIGKILL);
    }
    EXPECT_EQ(semaphore.value(), 0U);
    EXPECT_TRUE(semaphore.try_acquire_for(10s));
    EXPECT_TRUE(semaphore.recovered());
    EXPECT_EQ(semaphore.value(), 2U);
    semaphore.release();
    const int steps = test::kill_each_step(
        [&] {
            semaphore.acquire();
            semaphore.release();
        },
        [&](bool) {
            for (int i = 0; i < 3; ++i) ASSERT_TRUE(semaphore.try_acquire_for(10s));
            ASSERT_FALSE(semaphore.try_acquire());
            for (int i = 0; i < 3; ++i) semaphore.release();
        });
    EXPECT_GE(steps, 2);
}

// cpython: _TestEvent.test_event, _TestEvent.test_repr
TEST_P(Synchronising, AnEventIsSeenByAllOnceSet) {
    Event event;
    std::ostringstream text;
    text << event;
    EXPECT_FALSE(event.is_set());
    EXPECT_FALSE(event.wait_for(0s));
    EXPECT_FALSE(event.wait_for(10ms));
    std::vector<test::Party> parties;
    for (int i = 0; i < 3; ++i)
        parties.emplace_back(GetParam(), [](Event awaited) { return awaited.wait_for(60s) ? 0 : 1; }, event);
    parties.emplace_back(GetParam(), [](Event awaited) { return awaited.set(), 0; }, event);
    event.wait();
    for (auto& party : parties) EXPECT_EQ(party.wait(), 0);
    text << event;
    EXPECT_EQ(text.str(), "Event(unset)Event(set)");
    event.clear();
    EXPECT_FALSE(test::round_trip(event).is_set());
}

TEST(Event, SetAndClearedAtOnceStillFreesItsWaitersAndTheKilledBlockNobody) {
    Event event;
    Value<int> waiting(0);
    const auto wait = [&] {
        ++waiting;
        return event.wait_for(20s) ? 0 : 1;
    };
    test::Child victim(wait), other(wait);
    ASSERT_TRUE(eventually([&] { return waiting == 2; }));
    std::this_thread::sleep_for(20ms);
    victim.kill();
    victim.wait();
    event.set();
    event.clear();
    EXPECT_EQ(other.wait(), 0);
}

// cpython: _TestCondition.test_notify
TEST(Condition, NotifyWakesExactlyOneOfAThreadAndAProcess) {
    Condition condition;
    Semaphore sleeping(0), woken(0);
    const auto wait = [&] {
        std::unique_lock hold(condition);
        sleeping.release();
        condition.wait(hold);
        woken.release();
        return 0;
    };
    test::Child child(wait);
    std::jthread thread(wait);
    sleeping.acquire();
    sleeping.acquire();
    { std::scoped_lock hold(condition); }
    EXPECT_EQ(woken.value(), 0U);
    for (std::size_t i = 1; i <= 2; ++i) {
        {
            std::scoped_lock hold(condition);
            condition.notify_one();
        }
        EXPECT_TRUE(woken.try_acquire_for(20s));
        EXPECT_FALSE(woken.try_acquire_for(20ms));
    }
    EXPECT_EQ(child.wait(), 0);
}

// cpython: _TestCondition.test_notify_all, _TestCondition.test_notify_n, _TestCondition.test_timeout
TEST(Condition, NotifyNWakesSoManyInOrderAndNobodyLater) {
    Lock lock;
    Condition condition;
    Semaphore sleeping(0), woken(0), timed_out(0);
    const auto wait = [&](auto limit) {
        std::unique_lock hold(lock);
        sleeping.release();
        if (condition.wait_for(hold, limit)) woken.release();
        else timed_out.release();
        return 0;
    };
    {
        std::vector<test::Child> children;
        for (int i = 0; i < 6; ++i) children.emplace_back([&] { return wait(20ms); });
        for (auto& child : children) EXPECT_EQ(child.wait(), 0);
        EXPECT_EQ(timed_out.value(), 6U);
    }
    condition.notify_all();
    std::vector<test::Child> children;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
        if (i % 2) children.emplace_back([&] { return wait(60s); });
        else threads.emplace_back([&] { wait(60s); });
    }
    for (int i = 0; i < 12; ++i) sleeping.acquire();
    const auto notify = [&](std::size_t count) {
        std::scoped_lock hold(lock);
        condition.notify_one(count);
    };
    notify(2);
    EXPECT_TRUE(eventually([&] { return woken.value() == 2; }));
    std::this_thread::sleep_for(10ms);
    EXPECT_EQ(woken.value(), 2U);
    notify(3);
    EXPECT_TRUE(eventually([&] { return woken.value() == 5; }));
    {
        std::scoped_lock hold(lock);
        condition.notify_all();
    }
    for (auto& child : children) EXPECT_EQ(child.wait(), 0);
    threads.clear();
    EXPECT_EQ(woken.value(), 6U);
    notify(3);
    std::unique_lock hold(lock);
    EXPECT_FALSE(condition.wait_for(hold, 10ms));
}

// cpython: _TestCondition.test_waitfor, _TestCondition.test_waitfor_timeout, _TestCondition.test_wait_result
TEST_P(Synchronising, AConditionWaitsForAPredicate) {
    Condition condition;
    Value<int> state(0);
    test::Party waiter(
        GetParam(),
        [](Condition told, Value<int> seen) {
            std::unique_lock hold(told);
            return told.wait_for(hold, 60s, [&] { return seen == 4; }) ? 0 : 1;
        },
        condition, state);
    for (int i = 0; i < 4; ++i) {
        std::scoped_lock hold(condition);
        ++state;
        condition.notify_all();
    }
    EXPECT_EQ(waiter.wait(), 0);
    std::unique_lock hold(condition);
    const auto start = Clock::now();
    EXPECT_FALSE(condition.wait_for(hold, 30ms, [&] { return state == 5; }));
    EXPECT_GE(Clock::now() - start, 30ms);
    EXPECT_FALSE(condition.wait_for(hold, 0s));
    EXPECT_FALSE(condition.wait_for(5ms));
    EXPECT_FALSE(condition.wait_for(5ms, [&] { return state == 5; }));
    condition.wait([&] { return state == 4; });
    EXPECT_TRUE(test::round_trip(condition).internal_lock() == condition.internal_lock());
}

TEST(Condition, AKilledWaiterNeitherBlocksNorUsesUpANotification) {
    Lock lock;
    Condition condition;
    for (int round = 0; round < 3; ++round) {
        Semaphore sleeping(0);
        const auto wait = [&] {
            std::unique_lock hold(lock);
            sleeping.release();
            return condition.wait_for(hold, 30s) ? 0 : 1;
        };
        test::Child victim(wait);
        sleeping.acquire();
        test::Child other(wait);
        sleeping.acquire();
        {
            std::scoped_lock hold(lock);
        }
        victim.kill();
        EXPECT_EQ(victim.wait(), -SIGKILL);
        std::scoped_lock hold(lock);
        condition.notify_one();
        lock.unlock();
        EXPECT_EQ(other.wait(), 0);
        lock.lock();
    }
}

TEST(Condition, SurvivesANotifierAndAWaiterKilledAtAnyStep) {
    Lock lock;
    Condition condition;
    test::kill_each_step(
        [&] {
            std::unique_lock hold(lock);
            condition.wait_for(hold, 1ms);
            condition.notify_all();
        },
        [&](bool) {
            Semaphore sleeping(0);
            std::jthread waiter([&] {
                std::unique_lock hold(lock);
                sleeping.release();
                EXPECT_TRUE(condition.wait_for(hold, 20s));
            });
            sleeping.acquire();
            std::scoped_lock hold(lock);
            condition.notify_one();
        });
}

// cpython: _TestBarrier.test_barrier, test_barrier_10, test_wait_return, test_action
TEST(Barrier, PassesInLockstepAndRunsItsActionOnceARound) {
    constexpr int rounds = 200;
    Value<int> actions(0), inside(0), zeros(0), wrong(0);
    Barrier barrier(5, [&] { ++actions; });
    const auto simple = [&] {
        for (int round = 0; round < rounds; ++round) {
            ++inside;
            if (barrier.wait() == 0) ++zeros;
            if (inside < 5 * (round + 1)) ++wrong;
            barrier.wait();
        }
        return 0;
    };
    std::vector<test::Child> children;
    for (int i = 0; i < 3; ++i) children.emplace_back(simple);
    std::jthread thread(simple);
    simple();
    thread.join();
    for (auto& child : children) EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_EQ(zeros.load(), rounds);
    EXPECT_EQ(actions.load(), 2 * rounds);
    EXPECT_FALSE(barrier.broken());
    EXPECT_EQ(barrier.waiting(), 0U);
}

// cpython: _TestBarrier.test_abort, test_reset, test_abort_and_reset
TEST(Barrier, AbortAndResetFreeTheWaitersWithAnError) {
    Barrier barrier(3);
    EXPECT_EQ(barrier.parties(), 3U);
    const auto broken = [&] {
        try {
            barrier.wait();
        } catch (const BrokenBarrier&) {
            return 0;
        }
        return 1;
    };
    for (int round = 0; round < 2; ++round) {
        test::Child one(broken), two(broken);
        ASSERT_TRUE(eventually([&] { return barrier.waiting() == 2; }));
        if (round == 0) barrier.reset();
        else barrier.abort();
        EXPECT_EQ(one.wait(), 0);
        EXPECT_EQ(two.wait(), 0);
        EXPECT_EQ(barrier.broken(), round == 1);
    }
    EXPECT_THROW(barrier.wait(), BrokenBarrier);
    barrier.reset();
    test::Child one([&] { return barrier.wait_for(20s), 0; }), two([&] { return barrier.wait_for(20s), 0; });
    barrier.wait_for(20s);
    EXPECT_EQ(one.wait(), 0);
    EXPECT_EQ(two.wait(), 0);
}

// cpython: _TestBarrier.test_timeout, test_default_timeout, test_single_thread
TEST(Barrier, ALatePartyBreaksItForAll) {
    Barrier barrier(3, {}, 30ms);
    test::Child child([&] {
        try {
            barrier.wait_for(20s);
        } catch (const BrokenBarrier&) {
            return 0;
        }
        return 1;
    });
    ASSERT_TRUE(eventually([&] { return barrier.waiting() == 1; }));
    EXPECT_THROW(barrier.wait(), BrokenBarrier);
    EXPECT_EQ(child.wait(), 0);
    EXPECT_TRUE(barrier.broken());
    Barrier alone(1);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(alone.wait(), 0U);
    Barrier throwing(1, [] { throw std::runtime_error("no"); });
    EXPECT_THROW(throwing.wait(), std::runtime_error);
    EXPECT_TRUE(throwing.broken());
}

TEST(Barrier, AKilledPartyBreaksItForTheOthers) {
    Barrier barrier(3);
    test::Child victim([&] { return barrier.wait(), 0; });
    test::Child other([&] {
        try {
            barrier.wait_for(30s);
        } catch (const BrokenBarrier&) {
            return 0;
        }
        return 1;
    });
    ASSERT_TRUE(eventually([&] { return barrier.waiting() == 2; }));
    const auto start = Clock::now();
    victim.kill();
    EXPECT_EQ(victim.wait(), -SIGKILL);
    EXPECT_EQ(other.wait(), 0);
    EXPECT_LT(Clock::now() - start, 10s);
    EXPECT_THROW(barrier.wait(), BrokenBarrier);
    barrier.reset();
    EXPECT_FALSE(barrier.broken());
}

TEST(Barrier, SurvivesAPartyKilledAtAnyStep) {
    Barrier barrier(2);
    const auto pass_or_break = [&] {
        try {
            barrier.wait_for(10s);
            return true;
        } catch (const BrokenBarrier&) {
            return false;
        }
    };
    const int steps = test::kill_each_step(
        [&] {
            // Both as the first party and as the last one.
            std::jthread other(pass_or_break);
            pass_or_break();
        },
        [&](bool) {
            barrier.reset();
            std::jthread other([&] { EXPECT_TRUE(pass_or_break()); });
            EXPECT_TRUE(pass_or_break());
        });
    EXPECT_GE(steps, 2);
}

// cpython: _TestBarrier.test_thousand
TEST_P(Synchronising, AThousandRoundsOfFiveAtABarrierArriveGroupedByRound) {
    constexpr int rounds = 1000, parties = 5;
    Barrier barrier(parties);
    Queue<int> reports;
    std::vector<test::Party> others;
    for (int i = 0; i < parties; ++i) {
        others.emplace_back(
            GetParam(),
            [](Barrier meeting, Queue<int> out) {
                for (int round = 0; round < rounds; ++round) {
                    meeting.wait();
                    out.put(round);
                }
                return 0;
            },
            barrier, reports);
    }
    // Who is past round n + 1 waits there for those who have not reported round n.
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < parties; ++i) ASSERT_EQ(reports.get(), round);
    }
    for (auto& other : others) EXPECT_EQ(other.wait(), 0);
}

TEST(Synchronisation, DebugTextSaysWhoHoldsWhatAndWhoWaits) {
    const auto text = [](const auto& object) {
        std::ostringstream out;
        out << object;
        return out.str();
    };
    EXPECT_EQ(text(Semaphore(3)), "Semaphore(value=3)");
    BoundedSemaphore bounded(3);
    EXPECT_EQ(text(bounded), "BoundedSemaphore(value=3/3)");
    bounded.acquire();
    bounded.acquire();
    EXPECT_EQ(text(bounded), "BoundedSemaphore(value=1/3, process " + std::to_string(::getpid()) + " holds 2)");
    Condition condition;
    EXPECT_EQ(text(condition), "Condition(RLock(owner=none, depth=0), waiters=0)");
    Barrier barrier(2);
    EXPECT_EQ(text(barrier), "Barrier(waiting=0/2)");
    {
        std::jthread waiter([&] {
            condition.lock();
            condition.wait();
            condition.unlock();
        });
        EXPECT_TRUE(eventually([&] { return text(condition) == "Condition(RLock(owner=none, depth=0), waiters=1)"; }));
        condition.notify_all();
        std::jthread party([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
        EXPECT_TRUE(eventually([&] { return text(barrier) == "Barrier(waiting=1/2)"; }));
        barrier.abort();
    }
    EXPECT_EQ(text(barrier), "Barrier(broken, waiting=0/2)");
}

MP_EVERY_METHOD(Synchronising);

}  // namespace
}  // namespace mp
