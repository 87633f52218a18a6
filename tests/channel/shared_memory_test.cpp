#include <multiprocessing/connection.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/shared_memory.hpp>
#include <multiprocessing/wait.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "os/unique_fd.hpp"
#include "support/child.hpp"
#include "support/party.hpp"
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
class SharedMemories : public test::EveryMethod {};

TEST_P(SharedMemories, AreSharedWithoutAName) {
    SharedMemory memory(10'000);
    EXPECT_EQ(memory.size(), 10'000U);
    EXPECT_EQ(memory.name(), "");
    EXPECT_EQ(memory.bytes()[9'999], std::byte(0));
    EXPECT_TRUE(test::round_trip(memory) == memory);
    test::Party party(
        GetParam(),
        [](SharedMemory given) {
            given.span<int>()[5] = 42;
            return 0;
        },
        memory);
    EXPECT_EQ(party.wait(), 0);
    EXPECT_EQ(memory.span<int>()[5], 42);
}

MP_EVERY_METHOD(SharedMemories);

// cpython: _TestSharedMemory.test_shared_memory_basics, test_shared_memory_untracking,
// cpython: TestSharedMemoryNames.test_that_shared_memory_name_with_colons_has_no_resource_tracker_errors
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

// cpython: _TestSharedMemory.test_shared_memory_pickle_unpickle_dead_object
// Python's handle is the name, ours the memory: what is in a message is there whatever became of the name.
TEST(SharedMemory, InAMessageOutlivesItsName) {
    test::Wire wire;
    const auto name = own_name("-gone");
    {
        auto memory = SharedMemory::create(name, 16);
        memory.bytes()[3] = std::byte(9);
        wire.send(memory);
        memory.unlink();
    }
    EXPECT_EQ(error_of([&] { SharedMemory::open(name); }), ENOENT);
    auto received = wire.receive<SharedMemory>();
    EXPECT_EQ(received.bytes()[3], std::byte(9));
    EXPECT_EQ(error_of([&] { received.unlink(); }), ENOENT);
}

std::set<std::string> names_in_dev_shm() {
    std::set<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", error)) {
        const auto name = entry.path().filename().string();
        if (name.find(std::to_string(::getpid())) != std::string::npos) names.insert(name);
    }
    return names;
}

// cpython: _TestSharedMemory.test_shared_memory_cleaned_after_process_termination,
// cpython: _TestSharedMemory.test_shared_memory_SharedMemoryManager_basics,
// cpython: _TestSharedMemory.test_shared_memory_SharedMemoryManager_reuses_resource_tracker,
// cpython: _TestSharedMemory.test_shared_memory_recreate
// Python needs a manager and a tracker to remove names, and a retry for names that collide. Memory without a name
// needs neither: many blocks of a process that is terminated are gone, but for those that somebody else holds.
TEST(SharedMemory, OfATerminatedProcessLeavesNothingButWhatOthersHold) {
    const auto before = names_in_dev_shm();
    Queue<SharedMemory> blocks;
    test::Child owner([&] {
        std::vector<SharedMemory> own;
        for (int i = 0; i < 20; ++i) {
            own.emplace_back(4096);
            own.back().bytes()[0] = std::byte(i);
        }
        blocks.put(own[7]);
        for (;;) ::pause();
        return 0;
    });
    const auto held = blocks.get();
    EXPECT_EQ(names_in_dev_shm(), before);
    owner.kill(SIGTERM);
    EXPECT_EQ(owner.wait(), -SIGTERM);
    EXPECT_EQ(held.bytes()[0], std::byte(7));
    EXPECT_EQ(names_in_dev_shm(), before);
}

// cpython: _TestSharedMemory.test_shared_memory_name_with_embedded_null, test_invalid_shared_memory_creation
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

// cpython: TestWait.test_wait_timeout, TestWait.test_neg_timeout
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

// cpython: TestWait.test_wait_integer
TEST(WaitForSeveral, HearsTheEndOfAProcessAmongPipes) {
    auto [a, b] = Pipe<int>();
    auto [c, d] = Pipe<int>();
    Process process([](Connection<int> end) { end.recv(); }, b);
    process.start();
    b.close();
    EXPECT_THAT(wait({process.sentinel(), a, c}, 1ms), IsEmpty());
    d.send(1);
    EXPECT_THAT(wait({process.sentinel(), a, c}, 60s), ElementsAre(2));
    a.send(1);
    EXPECT_FALSE(wait({process.sentinel(), a}, 60s).empty());
    process.join();
    EXPECT_THAT(wait({process.sentinel(), a, c}, 60s), ElementsAre(0, 1, 2));
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

// cpython: TestWait.test_wait_socket, test_wait_socket_slow
TEST(WaitForSeveral, HearsSocketsOfTheHostUntilAllAreAtTheirEnd) {
    std::vector<os::UniqueFd> ends;
    std::vector<test::Child> children;
    for (int i = 0; i < 4; ++i) {
        int pair[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ends.emplace_back(pair[0]);
        const os::UniqueFd other(pair[1]);
        children.emplace_back([&] {
            ends.clear();
            for (char k = 0; k < 20; ++k) {
                if (k % 5 == i) std::this_thread::sleep_for(1ms);
                if (::write(other.get(), &k, 1) != 1) return 1;
            }
            return 0;
        });
    }
    std::vector<char> next(4, 0);
    for (int open = 4; open > 0;) {
        std::vector<Waitable> objects;
        std::vector<std::size_t> which;
        for (std::size_t i = 0; i < ends.size(); ++i) {
            if (!ends[i]) continue;
            objects.emplace_back(ends[i].get());
            which.push_back(i);
        }
        const auto ready = wait(objects, 20s);
        ASSERT_FALSE(ready.empty());
        for (const std::size_t r : ready) {
            char got;
            const auto size = ::read(ends[which[r]].get(), &got, 1);
            if (size == 1) {
                ASSERT_EQ(got, next[which[r]]++);
                continue;
            }
            ASSERT_EQ(next[which[r]], 20);
            ends[which[r]].reset();
            --open;
        }
    }
    for (auto& child : children) EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace mp
