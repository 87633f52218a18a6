#include <multiprocessing/errors.hpp>
#include <multiprocessing/synchronize.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <sstream>
#include <thread>

#include <multiprocessing/sharedctypes.hpp>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"
#include "support/party.hpp"
#include "support/round_trip.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;

template <class T>
std::string text(const T& object) {
    std::ostringstream out;
    out << object;
    return out.str();
}

template <class T>
class AnyLock : public testing::Test {};
using Locks = testing::Types<Lock, RLock>;
TYPED_TEST_SUITE(AnyLock, Locks);

// cpython: _TestLock.test_lock_context, _TestLock.test_rlock_context
TYPED_TEST(AnyLock, WorksWithStandardGuards) {
    TypeParam a, b;
    {
        std::scoped_lock both(a, b);
        EXPECT_TRUE(a.locked());
        EXPECT_TRUE(b.locked());
    }
    EXPECT_FALSE(a.locked());
    std::unique_lock timed(a, 10ms);
    EXPECT_TRUE(timed.owns_lock());
    EXPECT_FALSE(std::unique_lock(b, std::defer_lock).owns_lock());
}

class LocksOf : public test::EveryMethod {
  protected:
    template <class AnyLock>
    static void exclude(test::Method method) {
        AnyLock lock;
        Array<long> count(1);
        const auto work = [](AnyLock shared, Array<long> counted) {
            for (int i = 0; i < 20000; ++i) {
                std::scoped_lock hold(shared);
                counted[0] += 1;
            }
            return 0;
        };
        test::Party one(method, work, lock, count), two(method, work, lock, count);
        std::jthread thread([&] { work(lock, count); });
        work(lock, count);
        thread.join();
        EXPECT_EQ(one.wait(), 0);
        EXPECT_EQ(two.wait(), 0);
        EXPECT_EQ(count[0], 80000);
    }
};
TEST_P(LocksOf, OnePartyExcludeTheOthers) { exclude<Lock>(GetParam()); }
TEST_P(LocksOf, OnePartyExcludeTheOthersAlsoWhenRecursive) { exclude<RLock>(GetParam()); }
MP_EVERY_METHOD(LocksOf);

// cpython: _TestLock.test_lock_locked_2processes, _TestLock.test_rlock_locked_2processes
TYPED_TEST(AnyLock, StateIsSeenByOtherProcesses) {
    TypeParam lock;
    lock.lock();
    test::Child child([&] { return lock.locked() && !lock.try_lock() && !lock.try_lock_for(5ms) ? 0 : 1; });
    EXPECT_EQ(child.wait(), 0);
    lock.unlock();
    test::Child other([&] { return !lock.locked() && lock.try_lock() ? (lock.unlock(), 0) : 1; });
    EXPECT_EQ(other.wait(), 0);
}

TYPED_TEST(AnyLock, OfAKilledOwnerIsTakenByTheNextWhoIsTold) {
    TypeParam lock;
    for (int round = 0; round < 3; ++round) {
        test::Child child([&] {
            lock.lock();
            ::raise(SIGKILL);
            return 0;
        });
        EXPECT_EQ(child.wait(), -SIGKILL);
        ASSERT_TRUE(lock.try_lock_for(10s));
        EXPECT_TRUE(lock.recovered());
        lock.unlock();
        lock.lock();
        EXPECT_FALSE(lock.recovered());
        lock.unlock();
    }
}

TYPED_TEST(AnyLock, WaitersAreFreedWhenTheOwnerIsKilled) {
    TypeParam lock;
    Value<int> held(0);
    test::Child owner([&] {
        lock.lock();
        held = 1;
        for (;;) ::pause();
        return 0;
    });
    while (held != 1) std::this_thread::yield();
    test::Child waiter([&] { return lock.lock(), lock.recovered() ? (lock.unlock(), 0) : 1; });
    test::Child killed([&] { return lock.lock(), 0; });
    killed.kill();
    owner.kill();
    EXPECT_EQ(waiter.wait(), 0);
    EXPECT_TRUE(lock.try_lock_for(10s));
    lock.unlock();
}

TYPED_TEST(AnyLock, IsUsableAfterAKillAtAnyStep) {
    TypeParam lock;
    const int steps = test::kill_each_step(
        [&] {
            lock.lock();
            lock.unlock();
        },
        [&](bool) {
            ASSERT_TRUE(lock.try_lock_for(10s));
            lock.unlock();
        });
    EXPECT_GE(steps, 3);
}

TYPED_TEST(AnyLock, UnlockingWhatOneDoesNotHoldIsAnError) {
    TypeParam lock;
    EXPECT_THROW(lock.unlock(), SystemError);
    lock.lock();
    std::jthread([&] { EXPECT_THROW(lock.unlock(), SystemError); }).join();
    test::Child child([&] {
        try {
            lock.unlock();
        } catch (const SystemError& error) {
            return error.code().value() == EPERM ? 0 : 2;
        }
        return 1;
    });
    EXPECT_EQ(child.wait(), 0);
    lock.unlock();
    EXPECT_THROW(lock.unlock(), SystemError);
}

TYPED_TEST(AnyLock, TravelsAndStaysTheSameLock) {
    TypeParam lock;
    EXPECT_TRUE(test::round_trip(lock) == lock);
    test::Wire wire;
    wire.send(lock);
    test::Child child([&] {
        auto received = wire.receive<TypeParam>();
        return received == lock && !received.try_lock() ? 1 : 0;
    });
    EXPECT_EQ(child.wait(), 0);
}

TYPED_TEST(AnyLock, TimedAttemptsWaitAboutAsLongAsTold) {
    TypeParam lock;
    lock.lock();
    std::jthread([&] {
        const auto start = std::chrono::steady_clock::now();
        EXPECT_FALSE(lock.try_lock_for(30ms));
        EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
        EXPECT_FALSE(lock.try_lock_for(-1s));
        EXPECT_FALSE(lock.try_lock_until(std::chrono::system_clock::now() + 5ms));
    }).join();
    lock.unlock();
    EXPECT_TRUE(lock.try_lock_for(std::chrono::hours(24 * 365 * 1000)));
    lock.unlock();
}

// cpython: _TestLock.test_lock
TEST(Lock, IsNotLockedTwiceByOneThread) {
    Lock lock;
    EXPECT_FALSE(lock.locked());
    lock.lock();
    EXPECT_TRUE(lock.locked());
    EXPECT_FALSE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock_for(5ms));
    EXPECT_THROW(lock.lock(), SystemError);
    lock.unlock();
    EXPECT_FALSE(lock.locked());
}

// cpython: _TestLock.test_rlock
TEST(RLock, NeedsAsManyUnlocksAsLocks) {
    RLock lock;
    lock.lock();
    EXPECT_TRUE(lock.try_lock());
    EXPECT_TRUE(lock.try_lock_for(5ms));
    EXPECT_THAT(text(lock), "RLock(owner=this process, depth=3)");
    lock.unlock();
    lock.unlock();
    EXPECT_TRUE(lock.locked());
    lock.unlock();
    EXPECT_FALSE(lock.locked());
    EXPECT_THROW(lock.unlock(), SystemError);
}

// cpython: _TestLock.test_repr_lock, _TestLock.test_repr_rlock
TEST(Lock, DebugTextSaysWhoHoldsIt) {
    Lock lock;
    EXPECT_EQ(text(lock), "Lock(owner=none)");
    EXPECT_EQ(text(RLock()), "RLock(owner=none, depth=0)");
    lock.lock();
    EXPECT_EQ(text(lock), "Lock(owner=this process)");
    lock.unlock();
    std::jthread([&] {
        lock.lock();
        EXPECT_THAT(text(lock), testing::StartsWith("Lock(owner=this process, thread "));
        lock.unlock();
    }).join();
    Value<int> held(0);
    test::Child child([&] {
        lock.lock();
        held = 1;
        for (;;) ::pause();
        return 0;
    });
    while (held != 1) std::this_thread::yield();
    EXPECT_THAT(text(lock), testing::StartsWith("Lock(owner=pid " + std::to_string(child.pid())));
    child.kill();
    child.wait();
    EXPECT_EQ(text(lock), "Lock(owner=none)");
}

TEST(SharedObjects, TravelWithinMessagesAndAreRefusedAsSomethingElse) {
    Value<int> value(1);
    Array<double> array(10);
    auto both = test::round_trip(std::pair(value, std::vector{array, array}));
    ++both.first;
    both.second[1][3] = 2.5;
    EXPECT_EQ(value.load(), 2);
    EXPECT_EQ(array[3], 2.5);
    EXPECT_TRUE(both.second[0].is_same(array));

    serial::Writer writer;
    serial::encode(writer, value);
    serial::Reader as_array(writer.bytes(), writer.handles());
    EXPECT_THROW(serial::decode<Array<int>>(as_array), SerializationError);
    serial::Reader as_double(writer.bytes(), writer.handles());
    EXPECT_THROW(serial::decode<Value<double>>(as_double), SerializationError);
    serial::Reader without(writer.bytes(), {});
    EXPECT_THROW(serial::decode<Value<int>>(without), SerializationError);

    test::Wire wire;
    wire.send(both);
    test::Child child([&] {
        auto received = wire.receive<std::pair<Value<int>, std::vector<Array<double>>>>();
        received.first += 40;
        received.second[0][4] = 4.5;
        return 0;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(value.load(), 42);
    EXPECT_EQ(array[4], 4.5);
}

}  // namespace
}  // namespace mp
