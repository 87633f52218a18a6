// A process of each role - who puts, takes, sends, receives, holds, waits, notifies - killed at each of its steps in
// turn, while others need the same object. What the kill tests beside the other tests of each kind leave out.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <string>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;

TEST(SimpleQueue, SurvivesAKillAtAnyStepOfPutAndGet) {
    SimpleQueue<std::string> queue;
    const std::string item = "an item of some length, so that it needs memory";
    EXPECT_GE(test::kill_each_step([&] { queue.put(item); },
                                   [&](bool) {
                                       queue.put("last");
                                       std::string got;
                                       while ((got = queue.get()) != "last") ASSERT_EQ(got, item);
                                       ASSERT_TRUE(queue.empty());
                                   }),
              4);
    queue.put(item);
    EXPECT_GE(test::kill_each_step([&] { queue.get(); },
                                   [&](bool) {
                                       queue.put("last");
                                       std::string got;
                                       while ((got = queue.get()) != "last") ASSERT_EQ(got, item);
                                       queue.put(item);
                                   }),
              2);
}

TEST(JoinableQueue, SurvivesAKillAtAnyStepOfTakingAndFinishingAnItem) {
    JoinableQueue<int> queue;
    int lost = 0;
    test::kill_each_step(
        [&] {
            queue.put(1);
            queue.get();
            queue.task_done();
        },
        [&](bool finished) {
            while (queue.try_get()) queue.task_done();
            // What the killed one had taken is never done: the one who knows of its death says so for it.
            if (!queue.join_for(0s)) {
                ASSERT_FALSE(finished);
                ++lost;
                queue.task_done();
            }
            ASSERT_TRUE(queue.join_for(10s));
            ASSERT_THROW(queue.task_done(), Error);
        });
    EXPECT_GE(lost, 1);
}

TEST(Queue, AFullOneSurvivesAKillAtAnyStepOfAWaitingProducer) {
    Queue<int> queue(1);
    queue.put(0);
    EXPECT_GE(test::kill_each_step([&] { (void)queue.put_for(1, 300ms); },
                                   [&](bool) {
                                       ASSERT_EQ(queue.get(), 0);
                                       ASSERT_TRUE(queue.put_for(0, 10s));
                                       ASSERT_FALSE(queue.try_put(2));
                                   }),
              2);
}

TEST(Queue, AnEmptyOneSurvivesAKillAtAnyStepOfAWaitingConsumer) {
    Queue<int> queue;
    EXPECT_GE(test::kill_each_step([&] { (void)queue.get_for(300ms); },
                                   [&](bool) {
                                       queue.put(5);
                                       ASSERT_EQ(queue.get_for(10s), 5);
                                   }),
              2);
}

TEST(Queue, BatchesKilledAtAnyStepAreWholeItemsInOrder) {
    Queue<int> queue(6);
    EXPECT_GE(test::kill_each_step([&] { queue.put_range(std::vector{1, 2, 3, 4}); },
                                   [&](bool finished) {
                                       ASSERT_TRUE(queue.put_for(9, 10s));
                                       std::vector<int> got;
                                       while (got.empty() || got.back() != 9) got.push_back(queue.get());
                                       ASSERT_TRUE(got == std::vector({1, 2, 3, 4, 9}) ||
                                                   (!finished && got == std::vector({9})));
                                       ASSERT_TRUE(queue.empty());
                                   }),
              4);
    EXPECT_GE(test::kill_each_step([&] { queue.get_some(3); },
                                   [&](bool) {
                                       while (queue.try_get()) {
                                       }
                                       queue.put_range(std::vector{1, 2, 3});
                                       ASSERT_EQ(queue.qsize(), 3U);
                                   }),
              2);
}

TEST(Queue, CountsWhatAKilledProducerHadHalfPut) {
    Queue<std::string> queue;
    std::size_t killed = 0;
    test::kill_each_step([&] { queue.put("half an item"); }, [&](bool finished) { killed += !finished; });
    queue.put("whole");
    EXPECT_GE(queue.dropped(), 1U);
    EXPECT_LE(queue.dropped(), killed);
}

TEST(Connection, SurvivesAKillAtAnyStepOfAMessageWithHandles) {
    using Message = std::pair<int, Value<int>>;
    auto [a, b] = Pipe<Message>();
    Value<int> value(7);
    EXPECT_GE(test::kill_each_step([&, &a = a] { a.send({1, value}); },
                                   [&, &a = a, &b = b](bool) {
                                       a.send({2, value});
                                       for (int number = 1; number != 2;) {
                                           auto message = b.recv();
                                           ASSERT_TRUE(message.second.is_same(value));
                                           number = message.first;
                                       }
                                   }),
              6);
    a.send({1, value});
    test::kill_each_step([&, &b = b] { b.recv(); },
                         [&, &a = a, &b = b](bool) {
                             a.send({2, value});
                             for (int number = 1; number != 2;) {
                                 try {
                                     auto message = b.recv();
                                     ASSERT_TRUE(message.second.is_same(value));
                                     number = message.first;
                                 } catch (const SerializationError&) {
                                     // The killed one had taken the descriptors already, not yet the message.
                                 }
                             }
                             a.send({1, value});
                         });
}

TEST(Queue, AConsumerKilledAtAnyStepOfAnItemWithHandlesLosesNoNeighbour) {
    using Item = std::pair<int, Value<int>>;
    Queue<Item> queue;
    Value<int> value(7);
    const auto fill = [&] {
        for (int number = 1; number <= 3; ++number) queue.put({number, value});
    };
    fill();
    std::size_t lost = 0;
    test::kill_each_step([&] { queue.get(); },
                         [&](bool finished) {
                             std::vector<int> numbers;
                             while (const auto item = queue.try_get()) {
                                 ASSERT_TRUE(item->second.is_same(value));
                                 numbers.push_back(item->first);
                             }
                             ASSERT_TRUE(numbers == std::vector({1, 2, 3}) || numbers == std::vector({2, 3}));
                             lost += !finished && numbers.size() == 2;
                             fill();
                         });
    EXPECT_GE(lost, 1U);
}

TEST(Connection, SurvivesAKillAtAnyStepOfAWaitOnEitherSide) {
    auto [a, b] = Pipe<std::vector<char>>({.capacity = 64 << 10});
    const std::vector<char> message(10'000, 'm');
    EXPECT_GE(test::kill_each_step([&, &b = b] { (void)b.recv_for(300ms); },
                                   [&, &a = a, &b = b](bool) {
                                       a.send(message);
                                       ASSERT_EQ(b.recv(), message);
                                   }),
              2);
    while (a.try_send(message)) {
    }
    EXPECT_GE(test::kill_each_step([&, &a = a] { (void)a.send_for(message, 300ms); },
                                   [&, &a = a, &b = b](bool) {
                                       ASSERT_EQ(b.recv(), message);
                                       ASSERT_EQ(b.recv(), message);
                                       ASSERT_TRUE(a.send_for(message, 10s));
                                       while (a.try_send(message)) {
                                       }
                                   }),
              1);
}

TEST(Array, SurvivesAKillAtAnyStepOfItsGuard) {
    Array<int> array(4);
    EXPECT_GE(test::kill_each_step(
                  [&] {
                      auto guard = array.lock();
                      guard[0] = 1;
                      shm::kill_point();
                      guard[1] = 1;
                  },
                  [&](bool finished) {
                      auto guard = array.lock();
                      EXPECT_TRUE(guard[0] == guard[1] || guard.recovered());
                      EXPECT_TRUE(!finished || guard[1] == 1);
                      guard[0] = guard[1] = 0;
                  }),
              1);
}

TEST(Semaphore, SurvivesAKillAtAnyStepOfAcquireAndRelease) {
    Semaphore semaphore(1), done(0);
    test::Child waiter([&] {
        for (;;) {
            semaphore.acquire();
            done.release();
        }
        return 0;
    });
    EXPECT_GE(test::kill_each_step([&] { semaphore.release(); },
                                   [&](bool) {
                                       semaphore.release();
                                       ASSERT_TRUE(done.try_acquire_for(10s));
                                   }),
              1);
    Semaphore empty(0);
    EXPECT_GE(test::kill_each_step([&] { (void)empty.try_acquire_for(300ms); },
                                   [&](bool) {
                                       empty.release();
                                       ASSERT_TRUE(empty.try_acquire_for(10s));
                                   }),
              2);
}

TEST(BoundedSemaphore, SurvivesAKillAtAnyStepOfAWaitingAcquire) {
    BoundedSemaphore semaphore(1);
    semaphore.acquire();
    EXPECT_GE(test::kill_each_step([&] { (void)semaphore.try_acquire_for(300ms); },
                                   [&](bool) {
                                       semaphore.release();
                                       ASSERT_TRUE(semaphore.try_acquire_for(10s));
                                   }),
              2);
}

TEST(Event, SurvivesAKillAtAnyStepOfSetClearAndWait) {
    Event event;
    Semaphore gate(0), done(0);
    test::Child waiter([&] {
        for (;;) {
            gate.acquire();
            event.wait();
            done.release();
        }
        return 0;
    });
    const auto waiter_gets_through = [&](bool) {
        gate.release();
        event.set();
        ASSERT_TRUE(done.try_acquire_for(10s));
        event.clear();
        ASSERT_FALSE(event.is_set());
    };
    EXPECT_GE(test::kill_each_step(
                  [&] {
                      event.set();
                      event.clear();
                  },
                  waiter_gets_through),
              2);
    EXPECT_GE(test::kill_each_step([&] { (void)event.wait_for(300ms); }, waiter_gets_through), 2);
}

TEST(Condition, SurvivesANotifierKilledAtAnyStepWhileSomebodyWaits) {
    Lock lock;
    Condition condition;
    Semaphore woken(0);
    test::Child waiter([&] {
        std::unique_lock hold(lock);
        for (;;) {
            condition.wait(hold);
            woken.release();
        }
        return 0;
    });
    EXPECT_GE(test::kill_each_step(
                  [&] {
                      std::scoped_lock hold(lock);
                      condition.notify_one();
                  },
                  [&](bool) {
                      bool told = false;
                      for (int i = 0; i < 1000 && !told; ++i) {
                          {
                              std::scoped_lock hold(lock);
                              condition.notify_all();
                          }
                          told = woken.try_acquire_for(10ms);
                      }
                      ASSERT_TRUE(told);
                  }),
              1);
}

}  // namespace
}  // namespace mp
