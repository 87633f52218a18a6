// Managed queues and locks, and what a client that dies leaves behind.
#include "manager/manager_fixture.hpp"

#include <signal.h>

#include <mutex>
#include <thread>

#include <multiprocessing/detail/served_sync.hpp>

#include "manager/session.hpp"
#include "os/socket.hpp"

namespace {

using namespace std::chrono_literals;
using mp::Manager;
using mp::test::Child;
using mp::test::eventually;
using ManagedSync = mp::test::LeakCheck;

// cpython: TestSyncManagerTypes.test_queue
TEST_F(ManagedSync, AQueueIsFullEmptyAndClosed) {
    Manager manager;
    auto queue = manager.Queue<std::string>(2);
    EXPECT_TRUE(queue.empty());
    queue.put("a");
    queue.put("b");
    EXPECT_TRUE(queue.full());
    EXPECT_FALSE(queue.try_put("c"));
    EXPECT_FALSE(queue.put_for("c", 1ms));
    EXPECT_EQ(queue.qsize(), 2U);
    EXPECT_EQ(queue.get(), "a");
    queue.close();
    EXPECT_THROW(queue.put("d"), mp::Closed);
    EXPECT_EQ(queue.get_for(1s), "b");
    EXPECT_THROW(queue.get(), mp::Closed);
}

TEST_F(ManagedSync, AGetThatWaitsIsServedByAPut) {
    Manager manager;
    auto queue = manager.Queue<int>();
    EXPECT_EQ(queue.try_get(), std::nullopt);
    EXPECT_EQ(queue.get_for(1ms), std::nullopt);
    int got = 0;
    std::jthread taker([&] { got = queue.get(); });
    queue.put(5);
    taker.join();
    EXPECT_EQ(got, 5);
}

// The server may read of a death before it reads what the dead sent last, which came over another connection.
class ManagedLastWords : public mp::test::LeakCheck {
  protected:
    mp::base::Expected<std::pair<mp::os::UniqueFd, mp::os::UniqueFd>> ends = mp::os::socket_pair();
    mp::manager::ClientLife life;
    const mp::manager::Session session{{7, 1}, ends->first.get(), &life};
};

TEST_F(ManagedLastWords, ADeadClientGivesBackNoPermitOfAnother) {
    mp::detail::ServedSemaphore permits(1, true);
    {
        const mp::manager::ServeScope serving(&session);
        ASSERT_TRUE(permits.acquire(mp::detail::forever));
    }
    life.dead = true;
    permits.client_died(7);
    ASSERT_TRUE(permits.acquire(mp::detail::not_at_all));
    {
        const mp::manager::ServeScope serving(&session);
        EXPECT_THROW(permits.release(1), mp::Closed);
    }
    EXPECT_FALSE(permits.acquire(mp::detail::not_at_all));
}

TEST_F(ManagedLastWords, ADeadClientIsNoPartyAtABarrier) {
    mp::detail::ServedBarrier barrier(2);
    life.dead = true;
    {
        const mp::manager::ServeScope serving(&session);
        EXPECT_THROW(barrier.wait(mp::detail::not_at_all), mp::Closed);
    }
    EXPECT_EQ(barrier.waiting(), 0U);
    EXPECT_FALSE(barrier.broken());
}

TEST_F(ManagedSync, AKilledTakerTakesNothing) {
    Manager manager;
    auto queue = manager.Queue<int>();
    auto begun = manager.Event();
    Child child([&] {
        begun.set();
        return queue.get();
    });
    begun.wait();
    child.kill();
    child.wait();
    queue.put(1);
    EXPECT_EQ(queue.get_for(60s), 1);
}

// cpython: TestSyncManagerTypes.test_joinable_queue
TEST_F(ManagedSync, AJoinableQueueIsJoinedWhenAllIsDone) {
    Manager manager;
    auto queue = manager.JoinableQueue<int>();
    queue.put(1);
    queue.put(2);
    queue.get();
    queue.task_done();
    EXPECT_FALSE(queue.join_for(1ms));
    queue.get();
    queue.task_done();
    queue.join();
    EXPECT_THROW(queue.task_done(), mp::Error);
}

// cpython: TestSyncManagerTypes.test_lock, TestSyncManagerTypes.test_rlock
TEST_F(ManagedSync, ALockHasOneOwnerAndAnRLockCounts) {
    Manager manager;
    auto lock = manager.Lock();
    lock.lock();
    EXPECT_TRUE(lock.locked());
    EXPECT_FALSE(lock.try_lock());
    std::thread([&] {
        EXPECT_FALSE(lock.try_lock_for(1ms));
        EXPECT_THROW(lock.unlock(), mp::Error);
    }).join();
    lock.unlock();
    EXPECT_THROW(lock.unlock(), mp::Error);
    {
        const std::scoped_lock guard(lock);
    }
    EXPECT_FALSE(lock.recovered());
    auto again = manager.RLock();
    again.lock();
    again.lock();
    again.unlock();
    EXPECT_TRUE(again.locked());
    again.unlock();
    EXPECT_FALSE(again.locked());
    EXPECT_THROW(again.unlock(), mp::Error);
}

TEST_F(ManagedSync, AKilledOwnersLockGoesToTheNextWhoIsTold) {
    Manager manager;
    auto lock = manager.Lock();
    auto locked = manager.Event();
    Child child([&] {
        lock.lock();
        locked.set();
        for (;;) ::pause();
        return 0;
    });
    locked.wait();
    EXPECT_FALSE(lock.try_lock());
    child.kill();
    ASSERT_TRUE(lock.try_lock_for(60s));
    EXPECT_TRUE(lock.recovered());
    lock.unlock();
    lock.lock();
    EXPECT_FALSE(lock.recovered());
    lock.unlock();
}

// cpython: TestSyncManagerTypes.test_semaphore, TestSyncManagerTypes.test_bounded_semaphore
TEST_F(ManagedSync, SemaphoresCountAndABoundedOneGetsTheDeadsPermitsBack) {
    Manager manager;
    auto semaphore = manager.Semaphore(2);
    semaphore.acquire();
    semaphore.acquire();
    EXPECT_FALSE(semaphore.try_acquire());
    semaphore.release(3);
    EXPECT_EQ(semaphore.value(), 3U);
    auto bounded = manager.BoundedSemaphore(2);
    EXPECT_THROW(bounded.release(), mp::Error);
    auto taken = manager.Event();
    Child child([&] {
        bounded.acquire();
        bounded.acquire();
        taken.set();
        for (;;) ::pause();
        return 0;
    });
    taken.wait();
    EXPECT_EQ(bounded.value(), 0U);
    child.kill();
    EXPECT_TRUE(bounded.try_acquire_for(60s));
    EXPECT_EQ(bounded.value(), 1U);
}

// cpython: TestSyncManagerTypes.test_condition
TEST_F(ManagedSync, AConditionWakesAsManyAsItIsTold) {
    Manager manager;
    auto condition = manager.Condition();
    EXPECT_THROW(condition.wait(), mp::Error);
    EXPECT_THROW(condition.notify_all(), mp::Error);
    auto waiting = manager.Value<int>(0);
    auto woken = manager.Value<int>(0);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&, condition]() mutable {
            const std::scoped_lock guard(condition);
            waiting += 1;
            condition.wait();
            woken += 1;
        });
    }
    ASSERT_TRUE(eventually([&] { return waiting.get() == 3; }));
    {
        const std::scoped_lock guard(condition);
        condition.notify_one();
    }
    EXPECT_TRUE(eventually([&] { return woken.get() == 1; }));
    {
        const std::scoped_lock guard(condition);
        EXPECT_FALSE(condition.wait_for(5ms));
        EXPECT_EQ(woken.get(), 1);
        condition.notify_all();
    }
    threads.clear();
    EXPECT_EQ(woken.get(), 3);
}

TEST_F(ManagedSync, ANotificationIsNotSpentOnAKilledWaiter) {
    Manager manager;
    auto condition = manager.Condition();
    auto waiting = manager.Value<int>(0);
    Child child([&] {
        condition.lock();
        waiting += 1;
        condition.wait();
        return 0;
    });
    ASSERT_TRUE(eventually([&] { return waiting.get() == 1; }));
    bool woken = false;
    std::jthread other([&, condition]() mutable {
        const std::scoped_lock guard(condition);
        waiting += 1;
        woken = condition.wait_for(60s);
    });
    ASSERT_TRUE(eventually([&] { return waiting.get() == 2; }));
    child.kill();
    child.wait();
    {
        const std::scoped_lock guard(condition);
        condition.notify_one();
    }
    other.join();
    EXPECT_TRUE(woken);
}

// cpython: TestSyncManagerTypes.test_event
TEST_F(ManagedSync, AnEventIsSharedWithAProcess) {
    Manager manager;
    auto event = manager.Event();
    EXPECT_FALSE(event.wait_for(1ms));
    Child child([&] {
        event.set();
        return 0;
    });
    event.wait();
    EXPECT_TRUE(event.is_set());
    event.clear();
    EXPECT_FALSE(event.is_set());
    EXPECT_EQ(child.wait(), 0);
}

// cpython: TestSyncManagerTypes.test_barrier
TEST_F(ManagedSync, ABarrierPassesBreaksAndIsReset) {
    Manager manager;
    auto barrier = manager.Barrier(2);
    EXPECT_EQ(barrier.parties(), 2U);
    for (int round = 0; round < 3; ++round) {
        std::size_t other = 9;
        std::jthread party([&] { other = barrier.wait(); });
        const std::size_t mine = barrier.wait();
        party.join();
        EXPECT_EQ(mine + other, 1U);
    }
    EXPECT_THROW(barrier.wait_for(1ms), mp::BrokenBarrier);
    EXPECT_TRUE(barrier.broken());
    EXPECT_THROW(barrier.wait(), mp::BrokenBarrier);
    barrier.reset();
    EXPECT_FALSE(barrier.broken());
    std::jthread party([&] { EXPECT_THROW(barrier.wait(), mp::BrokenBarrier); });
    ASSERT_TRUE(eventually([&] { return barrier.waiting() == 1; }));
    barrier.reset();
    party.join();
    EXPECT_FALSE(barrier.broken());
    Child child([&] { return static_cast<int>(barrier.wait()); });
    ASSERT_TRUE(eventually([&] { return barrier.waiting() == 1; }));
    child.kill();
    EXPECT_TRUE(eventually([&] { return barrier.broken(); }));
}

}  // namespace
