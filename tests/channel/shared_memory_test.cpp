#include <multiprocessing/connection.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/shared_memory.hpp>
#include <multiprocessing/wait.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "support/child.hpp"
#include "support/round_trip.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Clock = std::chrono::steady_clock;

std::string own_name(const char* suffix) { return "mp-test-" + std::to_string(::getpid()) + suffix; }

int error_of(auto&& action) {
    try {
        action();
    } catch (const SystemError& error) {
        return error.code().value();
    }
    return 0;
}

// cpython: _TestSharedMemory.test_shared_memory_across_processes, test_shared_memory_pickle_unpickle
TEST(SharedMemory, AnonymousIsSharedByForkAndByMessage) {
    SharedMemory memory(10'000);
    EXPECT_EQ(memory.size(), 10'000U);
    EXPECT_EQ(memory.name(), "");
    EXPECT_EQ(memory.bytes()[9'999], std::byte(0));
    EXPECT_TRUE(test::round_trip(memory) == memory);
    test::Wire wire;
    wire.send(memory);
    test::Child child([&] {
        wire.receive<SharedMemory>().span<int>()[5] = 42;
        return 0;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(memory.span<int>()[5], 42);
}

// cpython: _TestSharedMemory.test_shared_memory_basics, test_shared_memory_untracking
TEST(SharedMemory, NamedIsOpenedByOthersAndGoneWithItsOwner) {
    const auto name = own_name(": odd\nname");
    {
        auto memory = SharedMemory::create(name, 100);
        EXPECT_EQ(error_of([&] { SharedMemory::create(name, 100); }), EEXIST);
        test::Child child([&] {
            auto other = SharedMemory::open(name);
            std::memcpy(other.data(), "hello", 6);
            return other.size() == 100 ? 0 : 1;
        });
        EXPECT_EQ(child.wait(), 0);
        EXPECT_STREQ(reinterpret_cast<char*>(memory.data()), "hello");
        auto copy = test::round_trip(memory);
        EXPECT_EQ(copy.name(), name);
    }
    EXPECT_EQ(error_of([&] { SharedMemory::open(name); }), ENOENT);
    auto again = SharedMemory::create(name, 50);
    again.unlink();
    EXPECT_EQ(error_of([&] { again.unlink(); }), ENOENT);
    again.bytes()[49] = std::byte(1);
}

// cpython: test_shared_memory_name_with_embedded_null, test_invalid_shared_memory_creation
TEST(SharedMemory, RefusesWhatMakesNoSense) {
    EXPECT_EQ(error_of([] { SharedMemory(0); }), EINVAL);
    EXPECT_EQ(error_of([] { SharedMemory(static_cast<std::size_t>(-1)); }), ENOMEM);
    EXPECT_EQ(error_of([] { SharedMemory::create("", 1); }), EINVAL);
    EXPECT_EQ(error_of([] { SharedMemory::create("a/b", 1); }), EINVAL);
    EXPECT_EQ(error_of([] { SharedMemory::create(std::string("a\0b", 3), 1); }), EINVAL);
    EXPECT_EQ(error_of([] { SharedMemory::open(std::string("a\0b", 3)); }), EINVAL);
    EXPECT_EQ(error_of([] { SharedMemory::create(own_name("z"), 0); }), EINVAL);
    EXPECT_EQ(error_of([] { SharedMemory(4).unlink(); }), EINVAL);
}

// cpython: TestWait.test_wait_timeout, TestWait.test_wait_integer, TestWait.test_neg_timeout
TEST(WaitForSeveral, SaysWhichAreReady) {
    auto [a, b] = Pipe<int>();
    Queue<int> queue;
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const auto start = Clock::now();
    EXPECT_THAT(wait({b, queue, pipe[0]}, 30ms), IsEmpty());
    EXPECT_GE(Clock::now() - start, 30ms);
    EXPECT_THAT(wait({b, queue, pipe[0]}, -1s), IsEmpty());
    for (int round = 0; round < 3; ++round) {
        queue.put(1);
        EXPECT_THAT(wait({b, queue, pipe[0]}), ElementsAre(1));
        a.send(1);
        ASSERT_EQ(::write(pipe[1], "x", 1), 1);
        EXPECT_THAT(wait({b, queue, pipe[0]}, 1s), ElementsAre(0, 1, 2));
        queue.get();
        b.recv();
        EXPECT_THAT(wait({b, queue}, 0s), IsEmpty());
        char byte;
        ASSERT_EQ(::read(pipe[0], &byte, 1), 1);
        EXPECT_THAT(wait({b, queue, pipe[0]}, 1ms), IsEmpty());
    }
    a.close();
    EXPECT_THAT(wait({b, queue}, 5s), ElementsAre(0));
    queue.close();
    EXPECT_THAT(wait({queue}, 5s), ElementsAre(0));
    ::close(pipe[0]);
    ::close(pipe[1]);
    // cpython: TestInvalidHandle.test_invalid_handles
    EXPECT_EQ(error_of([&] { wait({pipe[0]}, 1ms); }), EBADF);
    EXPECT_EQ(error_of([] { wait({-1}, 1ms); }), EBADF);
}

// cpython: TestWait.test_wait, TestWait.test_wait_slow
TEST(WaitForSeveral, LosesNoMessageOfFourPipesUntilAllAreAtTheirEnd) {
    std::vector<Connection<void, int>> ends;
    std::vector<test::Child> children;
    Queue<int> queue;
    for (int i = 0; i < 4; ++i) {
        auto [in, out] = Pipe<void, int>();
        children.emplace_back([&, &out = out, &in = in] {
            in.close();
            for (auto& end : ends) end.close();
            for (int k = 0; k < 500; ++k) {
                out.send(k);
                queue.put(k);
                if (k % 50 == 0) std::this_thread::sleep_for(1ms);
            }
            return 0;
        });
        out.close();
        ends.push_back(std::move(in));
    }
    std::vector<int> next(4, 0);
    int from_queue = 0;
    while (!ends.empty() || from_queue < 2000) {
        std::vector<Waitable> objects(ends.begin(), ends.end());
        objects.emplace_back(queue);
        const auto ready = wait(objects, 20s);
        ASSERT_FALSE(ready.empty());
        for (auto i = ready.rbegin(); i != ready.rend(); ++i) {
            if (*i == ends.size()) {
                if (queue.try_get()) ++from_queue;
                continue;
            }
            try {
                ASSERT_EQ(ends[*i].recv(), next[*i]);
                ++next[*i];
            } catch (const Closed&) {
                ASSERT_EQ(next[*i], 500);
                ends.erase(ends.begin() + static_cast<std::ptrdiff_t>(*i));
                next.erase(next.begin() + static_cast<std::ptrdiff_t>(*i));
                break;
            }
        }
    }
    for (auto& child : children) EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(from_queue, 2000);
}

}  // namespace
}  // namespace mp
