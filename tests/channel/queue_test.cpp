#include <multiprocessing/connection.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <map>
#include <numeric>
#include <array>
#include <string>
#include <thread>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"
#include "support/party.hpp"
#include "support/round_trip.hpp"
#include "support/sanitizers.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Queues : public test::EveryMethod {};

// cpython: _TestQueue.test_put
TEST_P(Queues, PutWaitsOrGivesUpWhileFull) {
    Queue<int> queue(6);
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.maxsize(), 6U);
    queue.put(1);
    EXPECT_TRUE(queue.try_put(2));
    EXPECT_TRUE(queue.put_for(3, 1s));
    EXPECT_TRUE(queue.put_for(4, -1s));
    queue.put(5);
    EXPECT_FALSE(queue.full());
    queue.put(6);
    EXPECT_TRUE(queue.full());
    EXPECT_FALSE(queue.try_put(7));
    const auto start = Clock::now();
    EXPECT_FALSE(queue.put_for(7, 30ms));
    EXPECT_GE(Clock::now() - start, 30ms);
    test::Party consumer(
        GetParam(),
        [](Queue<int> items) {
            for (int i = 1; i <= 7; ++i) {
                if (items.get() != i) return 1;
            }
            return items.empty() ? 0 : 2;
        },
        queue);
    queue.put(7);
    EXPECT_EQ(consumer.wait(), 0);
    EXPECT_TRUE(queue.empty());
}

// cpython: _TestQueue.test_get, _TestQueue.test_timeout
TEST_P(Queues, GetReturnsInOrderOrGivesUpWhileEmpty) {
    Queue<std::string> queue;
    test::Party producer(
        GetParam(),
        [](Queue<std::string> texts) {
            for (const char* text : {"a", "bb", "", "dddd"}) texts.put(text);
            return 0;
        },
        queue);
    EXPECT_EQ(queue.get(), "a");
    EXPECT_EQ(queue.get_for(5s), "bb");
    EXPECT_EQ(queue.get(), "");
    EXPECT_EQ(producer.wait(), 0);
    EXPECT_EQ(queue.try_get(), "dddd");
    EXPECT_EQ(queue.try_get(), std::nullopt);
    EXPECT_EQ(queue.get_for(-1s), std::nullopt);
    const auto start = Clock::now();
    EXPECT_EQ(queue.get_for(50ms), std::nullopt);
    EXPECT_GE(Clock::now() - start, 50ms);
}

// cpython: _TestQueue.test_qsize, TestSimpleQueue.test_empty
TEST(Queue, SizeNeverLagsBehindPut) {
    Queue<int> queue;
    for (std::size_t i = 0; i < 2000; ++i) {
        EXPECT_EQ(queue.qsize(), 0U);
        queue.put(1);
        ASSERT_EQ(queue.qsize(), 1U);
        ASSERT_FALSE(queue.empty());
        ASSERT_EQ(queue.try_get(), 1);
        ASSERT_TRUE(queue.empty());
    }
}

// cpython: _TestQueue.test_fork
TEST(Queue, UsedBeforeAForkWorksInTheChildAndKeepsEachProducersOrder) {
    Queue<std::pair<int, int>> queue;
    for (int i = 0; i < 10; ++i) queue.put({0, i});
    constexpr int count = 5000;
    std::vector<test::Child> children;
    for (int producer = 1; producer <= 2; ++producer) {
        children.emplace_back([&] {
            for (int i = 0; i < count; ++i) queue.put({producer, i});
            return 0;
        });
    }
    std::map<int, int> next;
    for (int i = 0; i < 10 + 2 * count; ++i) {
        const auto [producer, number] = queue.get();
        ASSERT_EQ(number, next[producer]++);
    }
    for (auto& child : children) EXPECT_EQ(child.wait(), 0);
    EXPECT_TRUE(queue.empty());
}

TEST(Queue, ManyProducersAndConsumersLoseAndDoubleNothing) {
    MP_SKIP_UNDER_SANITIZERS("ThreadSanitizer cannot see what passes through another process");
    for (std::size_t maxsize : {0UL, 1UL, 100UL}) {
        Queue<int> queue(maxsize);
        const int count = maxsize == 1 ? 2000 : 20000;
        Array<int> seen(static_cast<std::size_t>(4 * count));
        const auto produce = [&](int which) {
            for (int i = 0; i < count; ++i) queue.put(which * count + i);
        };
        const auto consume = [&] {
            for (int item : queue) std::atomic_ref(seen[static_cast<std::size_t>(item)])++;
        };
        test::Child consumer([&] { return consume(), 0; });
        std::jthread thread(consume);
        {
            test::Child one([&] { return produce(0), 0; });
            test::Child two([&] { return produce(1), 0; });
            std::jthread three([&] { produce(2); });
            produce(3);
            EXPECT_EQ(one.wait(), 0);
            EXPECT_EQ(two.wait(), 0);
        }
        queue.close();
        EXPECT_EQ(consumer.wait(), 0);
        thread.join();
        EXPECT_TRUE(std::ranges::all_of(seen, [](int n) { return n == 1; }));
    }
}

// With threads alone ThreadSanitizer sees every step; what passes through another process it cannot see.
TEST_P(Queues, LoseAndDoubleNothingAmongTwoProducersAndTwoConsumers) {
    Queue<std::string> queue(50);
    constexpr int count = 3000;
    Array<int> seen(2 * count);
    std::vector<test::Party> consumers, producers;
    for (int i = 0; i < 2; ++i) {
        consumers.emplace_back(
            GetParam(),
            [](Queue<std::string> items, Array<int> hits) {
                for (const std::string& item : items) ++std::atomic_ref(hits[static_cast<std::size_t>(std::stoi(item))]);
                return 0;
            },
            queue, seen);
    }
    for (int which = 0; which < 2; ++which) {
        producers.emplace_back(
            GetParam(),
            [](Queue<std::string> items, int mine) {
                for (int i = 0; i < count; ++i) items.put(std::to_string(mine * count + i));
                return 0;
            },
            queue, which);
    }
    for (auto& producer : producers) EXPECT_EQ(producer.wait(), 0);
    queue.close();
    for (auto& consumer : consumers) EXPECT_EQ(consumer.wait(), 0);
    EXPECT_TRUE(std::ranges::all_of(seen, [](int n) { return n == 1; }));
    EXPECT_EQ(queue.dropped(), 0U);
}

// cpython: _TestQueue.test_closed_queue_put_get_exceptions, test_closed_queue_empty_exceptions
TEST(Queue, ClosedTakesNothingMoreAndIsDrained) {
    Queue<int> queue;
    queue.put(1);
    queue.put(2);
    queue.close();
    queue.close();
    EXPECT_TRUE(queue.closed());
    EXPECT_THROW(queue.put(3), Closed);
    EXPECT_THROW((void)queue.try_put(3), Closed);
    EXPECT_FALSE(queue.empty());
    EXPECT_EQ(queue.get(), 1);
    std::vector<int> rest;
    for (int item : queue) rest.push_back(item);
    EXPECT_EQ(rest, std::vector{2});
    EXPECT_THROW(queue.get(), Closed);
    EXPECT_THROW(queue.try_get(), Closed);
    EXPECT_THROW(queue.get_some(3), Closed);
    EXPECT_TRUE(queue.empty());
}

TEST_P(Queues, WakeThoseWhoWaitWhenTheyAreClosed) {
    Queue<int> empty, full(1);
    full.put(1);
    test::Party getter(
        GetParam(),
        [](Queue<int> items) {
            try {
                items.get();
            } catch (const Closed&) {
                return 0;
            }
            return 1;
        },
        empty);
    test::Party putter(
        GetParam(),
        [](Queue<int> items) {
            try {
                items.put(2);
            } catch (const Closed&) {
                return 0;
            }
            return 1;
        },
        full);
    std::this_thread::sleep_for(10ms);
    empty.close();
    full.close();
    EXPECT_EQ(getter.wait(), 0);
    EXPECT_EQ(putter.wait(), 0);
}

TEST(Queue, ItemsOfAnySizePassWithoutAReader) {
    Queue<std::vector<int>> queue;
    std::vector<std::size_t> sizes{0, 1, 100, 16383, 16384, 16385, 65535, 65536, 65537, 300'000, 1'000'000, 3, 4'000'000};
    for (int round = 0; round < 3; ++round) {
        for (std::size_t size : sizes) {
            std::vector<int> item(size);
            std::iota(item.begin(), item.end(), static_cast<int>(size));
            queue.put(item);
        }
        for (std::size_t size : sizes) {
            const auto item = queue.get();
            ASSERT_EQ(item.size(), size);
            for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(item[i], static_cast<int>(size + i));
        }
    }
}

// Long runs of plain elements go into the taker's object without a copy in between.
TEST(Queue, LongRunsOfAnyElementsArriveWhole) {
    const auto passes = [&](const auto& item) {
        Queue<std::remove_cvref_t<decltype(item)>> queue;
        queue.put(item);
        queue.put_range(std::vector{item, item});
        EXPECT_EQ(queue.get(), item);
        EXPECT_EQ(queue.try_get(), item);
        queue.close();
        for (const auto& last : queue) EXPECT_EQ(last, item);
    };
    for (const std::size_t size : {65'535, 65'536, 65'537, 262'136, 262'137, 1'000'001}) {
        passes(std::string(size, 'x'));
        passes(std::u16string(size, u'y'));
        passes(std::vector<double>(size, 0.5));
        passes(std::vector<std::array<char, 3>>(size, {'a', 'b', 'c'}));
    }
}

TEST(Queue, OfStringsKeepsOddSizesApart) {
    Queue<std::string> queue;
    const auto item = [](std::size_t i) { return std::string((i * 7919) % 3001, static_cast<char>('a' + i % 26)); };
    constexpr std::size_t count = 3000;
    for (std::size_t i = 0; i < count; ++i) queue.put(item(i));
    EXPECT_EQ(queue.qsize(), count);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(queue.get(), item(i));
}

struct Unpackable {
    bool fails = false;
    template <class Archive>
    void save(Archive& ar) const {
        if (fails) throw std::runtime_error("no");
        ar(fails);
    }
    template <class Archive>
    void load(Archive& ar) {
        ar(fails);
    }
};

// cpython: _TestQueue.test_queue_feeder_donot_stop_onexc, test_queue_feeder_on_queue_feeder_error
TEST(Queue, AnUnpackableItemIsPutsErrorAndLaterOnesPass) {
    Queue<Unpackable> queue(1);
    EXPECT_THROW(queue.put({true}), std::runtime_error);
    EXPECT_EQ(queue.qsize(), 0U);
    queue.put({false});
    EXPECT_FALSE(queue.get().fails);
}

std::size_t resident(const Queue<std::string>& queue) {
    serial::Writer writer;
    serial::encode(writer, queue);
    struct stat status {};
    EXPECT_EQ(::fstat(writer.handles()[0].fd(), &status), 0);
    return static_cast<std::size_t>(status.st_blocks) * 512;
}

TEST(Queue, GrowsAndGivesItsMemoryBack) {
    Queue<std::string> queue;
    const std::string item(100'000, 'x');
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 400; ++i) queue.put(item);
        EXPECT_GT(resident(queue), 38U << 20);
        for (int i = 0; i < 400; ++i) ASSERT_EQ(queue.get().size(), item.size());
        EXPECT_LT(resident(queue), 10U << 20);
    }
    for (int i = 0; i < 100'000; ++i) {
        queue.put("short");
        queue.get();
    }
    EXPECT_LT(resident(queue), 10U << 20);
}

TEST_P(Queues, KeepBatchesInOrder) {
    Queue<int> queue(100);
    test::Party producer(
        GetParam(),
        [](Queue<int> items) {
            items.put_range(std::views::iota(0, 5000));
            items.put_range(std::vector<int>{});
            items.close();
            return 0;
        },
        queue);
    int expected = 0;
    try {
        for (;;) {
            const auto some = queue.get_some(64);
            ASSERT_FALSE(some.empty());
            ASSERT_LE(some.size(), 64U);
            for (int item : some) ASSERT_EQ(item, expected++);
        }
    } catch (const Closed&) {
    }
    EXPECT_EQ(expected, 5000);
    EXPECT_EQ(producer.wait(), 0);
}

TEST_P(Queues, CarryQueuesConnectionsAndValuesToWhoRunsAlready) {
    using Job = std::pair<Queue<int>, Value<int>>;
    Queue<Job> jobs;
    test::Party worker(
        GetParam(),
        [](Queue<Job> given) {
            for (auto [replies, value] : given) replies.put(++value);
            return 0;
        },
        jobs);
    Value<int> value(0);
    for (int i = 1; i <= 20; ++i) {
        Queue<int> replies;
        jobs.put({replies, value});
        EXPECT_EQ(replies.get(), i);
    }
    jobs.close();
    EXPECT_EQ(worker.wait(), 0);

    Queue<std::vector<Connection<int>>> ends;
    auto [mine, yours] = Pipe<int>();
    ends.put({yours, yours});
    yours.close();
    auto received = ends.get();
    received[1].send(5);
    EXPECT_EQ(mine.recv(), 5);
    received.clear();
    EXPECT_THROW(mine.recv(), Closed);
    EXPECT_TRUE(test::round_trip(jobs).is_same(jobs));
}

TEST(Queue, WithTooManyHandlesInsidePutWaitsForRoom) {
    Queue<Value<int>> queue;
    Value<int> value(0);
    int inside = 0;
    while (queue.try_put(value)) ++inside;
    EXPECT_GT(inside, 50);
    EXPECT_FALSE(queue.put_for(value, 20ms));
    std::jthread consumer([&] {
        for (int i = 0; i < 3; ++i) queue.get();
    });
    queue.put(value);
    consumer.join();
    for (int i = 0; i < inside - 2; ++i) EXPECT_TRUE(queue.get().is_same(value));
    EXPECT_TRUE(queue.empty());
}

template <class T>
void killed_at_each_step(std::size_t maxsize, const T& item, int least_steps) {
    {
        Queue<T> queue(maxsize);
        std::size_t killed = 0;
        const int steps = test::kill_each_step([&] { queue.put(item); },
                                               [&](bool finished) {
                                                   killed += !finished;
                                                   ASSERT_TRUE(queue.put_for(item, 10s));
                                                   const auto inside = queue.qsize();
                                                   ASSERT_TRUE(inside == 1 || inside == 2);
                                                   for (std::size_t i = 0; i < inside; ++i) ASSERT_EQ(queue.get(), item);
                                                   ASSERT_TRUE(queue.empty());
                                               });
        EXPECT_GE(steps, least_steps);
        EXPECT_LE(queue.dropped(), killed);
    }
    {
        Queue<T> queue(maxsize);
        queue.put(item);
        const int steps = test::kill_each_step([&] { queue.get(); },
                                               [&](bool) {
                                                   ASSERT_LE(queue.qsize(), 1U);
                                                   while (const auto left = queue.try_get()) ASSERT_EQ(*left, item);
                                                   queue.put(item);
                                               });
        EXPECT_GE(steps, 2);
    }
}

TEST(Queue, SurvivesAKillAtAnyStepOfPutAndGet) {
    killed_at_each_step<int>(3, 42, 4);
    killed_at_each_step<std::string>(0, "a text of some length, longer than a short string is", 4);
}

TEST(Queue, SurvivesAKillAtAnyStepOfALongItem) {
    killed_at_each_step<std::string>(0, std::string(700'000, 'q'), 10);
}

TEST(Queue, SurvivesAKillAtAnyStepOfAnItemWithHandles) {
    Queue<Value<int>> queue;
    Value<int> value(7);
    const int steps = test::kill_each_step([&] { queue.put(value); },
                                           [&](bool) {
                                               ASSERT_TRUE(queue.put_for(value, 10s));
                                               while (const auto item = queue.try_get()) {
                                                   ASSERT_TRUE(item->is_same(value));
                                               }
                                           });
    EXPECT_GE(steps, 6);
    queue.put(value);
    test::kill_each_step([&] { queue.get(); },
                         [&](bool) {
                             while (const auto item = queue.try_get()) ASSERT_TRUE(item->is_same(value));
                             queue.put(value);
                         });
}

TEST(Queue, GrowingSurvivesAKillAtAnyStepAndLosesNoMemory) {
    // Blocks are handed round between the logical ones: after each kill the books must still add up.
    Queue<std::string> queue;
    const std::string item(60'000, 'b');
    int kills = 0;
    test::kill_each_step(
        [&] {
            for (int i = 0; i < 12; ++i) queue.put(item);
            for (int i = 0; i < 12; ++i) queue.get();
            for (int i = 0; i < 40; ++i) queue.put(item);
            for (int i = 0; i < 40; ++i) queue.get();
        },
        [&](bool) {
            ++kills;
            while (const auto left = queue.try_get()) ASSERT_EQ(*left, item);
            if (kills % 50 != 0) return;
            for (int i = 0; i < 30; ++i) queue.put(item + std::to_string(i));
            for (int i = 0; i < 30; ++i) ASSERT_EQ(queue.get(), item + std::to_string(i));
        });
    EXPECT_LT(resident(queue), 10U << 20);
}

TEST(Queue, ConsumersGoOnWhenOneOfThemIsKilledWhileWaiting) {
    Queue<int> queue;
    for (int round = 0; round < 5; ++round) {
        test::Child victim([&] { return queue.get(); });
        test::Child other([&] { return queue.get() == 5 ? 0 : 1; });
        std::this_thread::sleep_for(2ms);
        victim.kill();
        EXPECT_EQ(victim.wait(), -SIGKILL);
        queue.put(5);
        EXPECT_EQ(other.wait(), 0);
    }
}

// cpython: _TestQueue.test_task_done
TEST_P(Queues, AreJoinedWhenEveryItemIsDone) {
    JoinableQueue<int> queue;
    queue.join();
    std::vector<test::Party> workers;
    for (int i = 0; i < 4; ++i) {
        workers.emplace_back(
            GetParam(),
            [](JoinableQueue<int> items) {
                for (;;) {
                    const int item = items.get();
                    if (item < 0) return 0;
                    items.task_done();
                }
            },
            queue);
    }
    for (int i = 0; i < 10; ++i) queue.put(i);
    EXPECT_TRUE(queue.join_for(20s));
    EXPECT_THROW(queue.task_done(), Error);
    for (int i = 0; i < 4; ++i) queue.put(-1);
    for (auto& worker : workers) EXPECT_EQ(worker.wait(), 0);
    EXPECT_FALSE(queue.join_for(10ms));
    for (int i = 0; i < 4; ++i) test::round_trip(queue).task_done();
    EXPECT_TRUE(queue.join_for(0ms));
}

// cpython: TestSimpleQueue.test_close, test_closed, test_empty_exceptions
TEST(SimpleQueue, IsAnErrorToUseAfterClose) {
    SimpleQueue<int> queue;
    auto other = test::round_trip(queue);
    EXPECT_TRUE(queue.empty());
    queue.put(5);
    EXPECT_FALSE(other.empty());
    EXPECT_EQ(other.get(), 5);
    queue.close();
    queue.close();
    EXPECT_THROW(queue.empty(), Closed);
    EXPECT_THROW(queue.put(1), Closed);
    EXPECT_THROW(queue.get(), Closed);
    EXPECT_TRUE(other.empty());
}

MP_EVERY_METHOD(Queues);

}  // namespace
}  // namespace mp
