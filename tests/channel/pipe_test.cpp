#include <multiprocessing/connection.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <numeric>
#include <string>
#include <thread>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"
#include "support/party.hpp"
#include "support/round_trip.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::vector<std::byte> pattern(std::size_t size, unsigned seed = 1) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 31 + i / 4096 + seed) & 0xff);
    return bytes;
}

bool readable(int fd) {
    pollfd state{fd, POLLIN, 0};
    return ::poll(&state, 1, 0) == 1;
}

class Connections : public test::EveryMethod {};

// cpython: _TestConnection.test_connection
TEST_P(Connections, EchoObjectsOfAllSizes) {
    auto [here, there] = Pipe<std::vector<int>>();
    test::Party echo(
        GetParam(),
        [](Connection<std::vector<int>> end) {
            for (;;) {
                auto message = end.recv();
                if (message.size() == 1) {
                    end.close();
                    return 0;
                }
                end.send(message);
            }
        },
        there);
    test::let_go(GetParam(), there);
    for (std::size_t size : {0, 2, 10, 1000, 65000, 66000, 262000, 1'000'000, 4'000'000}) {
        std::vector<int> numbers(size);
        std::iota(numbers.begin(), numbers.end(), 3);
        here.send(numbers);
        EXPECT_EQ(here.recv(), numbers) << size;
    }
    here.send({1});
    EXPECT_EQ(echo.wait(), 0);
    EXPECT_TRUE(here.poll(10s));
    EXPECT_THROW(here.recv(), Closed);
    EXPECT_THROW(
        {
            for (int i = 0; i < 100; ++i) here.send(std::vector<int>(100000));
        },
        Closed);
}

// cpython: _TestConnection.test_sendbytes
// Python takes an offset and a size and checks them; a part is a subspan here, which cannot be more than there is.
TEST(Connection, BytesComeAsTheyWereSentIncludingEmptyOnes) {
    auto [a, b] = Pipe<int>();
    const auto message = pattern(1000);
    a.send_bytes(message);
    a.send_bytes(std::span(message).subspan(5));
    a.send_bytes(std::span(message).subspan(5, 7));
    a.send_bytes({});
    EXPECT_EQ(b.recv_bytes(), message);
    EXPECT_EQ(b.recv_bytes().size(), 995U);
    EXPECT_THAT(b.recv_bytes(), testing::ElementsAreArray(message.begin() + 5, message.begin() + 12));
    EXPECT_TRUE(b.poll());
    EXPECT_TRUE(b.poll());
    EXPECT_TRUE(b.recv_bytes().empty());
    EXPECT_FALSE(b.poll());
}

TEST(Connection, ATooShortBufferLosesNothing) {
    auto [a, b] = Pipe<int>();
    for (std::size_t size : {100UL, 600'000UL}) {
        const auto message = pattern(size);
        std::jthread sender([&, &a = a] { a.send_bytes(message); });
        std::vector<std::byte> buffer(size - 1);
        try {
            b.recv_bytes_into(buffer);
            FAIL();
        } catch (const BufferTooShort& error) {
            EXPECT_EQ(error.size(), size);
        }
        buffer.resize(size + 10);
        EXPECT_EQ(b.recv_bytes_into(buffer), size);
        buffer.resize(size);
        EXPECT_EQ(buffer, message);
    }
}

TEST(Connection, SixteenMebibytesPassASlowReader) {
    auto [a, b] = Pipe<std::vector<std::byte>>();
    const auto message = pattern(16 << 20);
    test::Child child([&, &a = a, &b = b] {
        b.close();
        a.send(message);
        a.send_bytes(message);
        return 0;
    });
    a.close();
    std::this_thread::sleep_for(20ms);
    EXPECT_TRUE(b.recv() == message);
    std::vector<std::byte> buffer(message.size());
    EXPECT_EQ(b.recv_bytes_into(buffer), message.size());
    EXPECT_TRUE(buffer == message);
    EXPECT_EQ(child.wait(), 0);
}

// cpython: _TestPoll.test_empty_string, test_strings, test_boundaries, test_dont_merge
TEST(Connection, PollConsumesNothingAndKeepsBoundaries) {
    auto [a, b] = Pipe<std::string>();
    EXPECT_FALSE(b.poll());
    EXPECT_FALSE(b.poll(-1s));
    const auto start = Clock::now();
    EXPECT_FALSE(b.poll(30ms));
    EXPECT_GE(Clock::now() - start, 30ms);
    a.send("");
    a.send("first");
    a.send("second");
    for (const char* expected : {"", "first", "second"}) {
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(b.poll(1s));
        test::Child child([&, &b = b] { return b.poll() ? 0 : 1; });
        EXPECT_EQ(child.wait(), 0);
        EXPECT_EQ(b.recv(), expected);
    }
    EXPECT_FALSE(b.poll());
    EXPECT_EQ(b.try_recv(), std::nullopt);
    EXPECT_EQ(b.recv_for(5ms), std::nullopt);
    a.send("x");
    EXPECT_EQ(b.recv_for(5s), "x");
}

// cpython: _TestConnection.test_duplex_false
template <class C>
concept can_send = requires(C c) { c.send(1); };
template <class C>
concept can_recv = requires(C c) { c.recv(); };
static_assert(can_send<Connection<int, void>> && !can_recv<Connection<int, void>>);
static_assert(!can_send<Connection<void, int>> && can_recv<Connection<void, int>>);

TEST(Connection, OneWayEndsCarryMessages) {
    auto [in, out] = Pipe<void, int>();
    out.send(5);
    EXPECT_EQ(in.recv(), 5);
    out.close();
    EXPECT_TRUE(in.poll(5s));
    EXPECT_THROW(in.recv(), Closed);
}

// cpython: _TestConnection.test_context
TEST(Connection, UseAfterCloseIsAnErrorAndClosingTwiceIsNot) {
    auto [a, b] = Pipe<int>();
    a.send(1);
    a.close();
    a.close();
    EXPECT_TRUE(a.closed());
    EXPECT_THROW(a.send(1), Closed);
    EXPECT_THROW(a.recv(), Closed);
    EXPECT_THROW(a.poll(), Closed);
    EXPECT_THROW(a.fileno(), Closed);
    EXPECT_EQ(b.recv(), 1);
    EXPECT_THROW(b.recv(), Closed);
    EXPECT_THROW(b.send(2), Closed);
}

TEST(Connection, EndsForTheReaderOnlyWhenAllCopiesOfTheOtherEndAreGone) {
    auto [a, b] = Pipe<int>();
    test::Child child([&, &a = a, &b = b] {
        b.close();
        a.recv();
        a.send(7);
        return 0;
    });
    a.close();
    EXPECT_FALSE(b.poll(20ms));
    b.send(1);
    EXPECT_EQ(b.recv(), 7);
    EXPECT_EQ(child.wait(), 0);
    EXPECT_THROW(b.recv(), Closed);
}

TEST(Connection, AKilledPeerEndsAWaitingReceiverAndAWaitingSender) {
    for (int round = 0; round < 2; ++round) {
        auto [a, b] = Pipe<std::vector<std::byte>>();
        test::Child child([&, &a = a, &b = b] {
            b.close();
            a.recv();
            for (;;) ::pause();
            return 0;
        });
        a.close();
        b.send(pattern(10));
        std::jthread killer([&] {
            std::this_thread::sleep_for(10ms);
            child.kill();
        });
        const auto start = Clock::now();
        if (round == 0) EXPECT_THROW(b.recv(), Closed);
        else EXPECT_THROW(for (;;) b.send(pattern(100'000)), Closed);
        EXPECT_LT(Clock::now() - start, 5s);
    }
}

TEST(Connection, LimitsOfSendingAreKept) {
    auto [a, b] = Pipe<std::vector<std::byte>>();
    const auto message = pattern(100'000);
    int sent = 0;
    while (a.try_send(message)) ++sent;
    EXPECT_GT(sent, 5);
    const auto start = Clock::now();
    EXPECT_FALSE(a.send_for(message, 20ms));
    EXPECT_GE(Clock::now() - start, 20ms);
    for (int i = 0; i < sent; ++i) EXPECT_EQ(b.recv().size(), message.size());
    EXPECT_FALSE(b.poll());
    EXPECT_TRUE(a.try_send(message));
}

TEST(Connection, AnUnpackableMessageIsAnErrorAndTheNextOneComes) {
    auto [a, b] = Pipe<std::vector<int>>();
    a.send_bytes(pattern(3));
    a.send({1, 2});
    EXPECT_THROW(b.recv(), SerializationError);
    EXPECT_EQ(b.recv(), (std::vector{1, 2}));
}

// cpython: _TestConnection.test_fd_transfer, test_large_fd_transfer, _TestPicklingConnections.test_pickling
TEST_P(Connections, CarryHandlesWithinMessagesInOrder) {
    using Message = std::pair<int, std::vector<Value<int>>>;
    auto [a, b] = Pipe<Message>();
    std::vector<Value<int>> values;
    for (int i = 0; i < 5; ++i) values.emplace_back(i);
    test::Party receiver(
        GetParam(),
        [](Connection<Message> end) {
            for (int i = 0; i < 5; ++i) {
                auto [number, received] = end.recv();
                if (number != i || received.size() != static_cast<std::size_t>(i)) return 1;
                for (auto& value : received) value += 10;
            }
            return 0;
        },
        b);
    test::let_go(GetParam(), b);
    for (int i = 0; i < 5; ++i) a.send({i, std::vector<Value<int>>(values.begin(), values.begin() + i)});
    EXPECT_EQ(receiver.wait(), 0);
    EXPECT_EQ(values[0].load(), 40);
    EXPECT_EQ(values[3].load(), 13);
    EXPECT_EQ(values[4].load(), 4);
}

TEST(Connection, ManyHandlesInOneMessageArrive) {
    auto [a, b] = Pipe<std::vector<serial::Handle>>();
    auto one = Value<int>(1);
    const auto handle = one.internal_block().handle();
    a.send(std::vector(600, handle));
    const auto received = b.recv();
    ASSERT_EQ(received.size(), 600U);
    struct stat first {}, last {};
    ::fstat(handle.fd(), &first);
    ::fstat(received.back().fd(), &last);
    EXPECT_EQ(first.st_ino, last.st_ino);
    EXPECT_TRUE(::fcntl(received.back().fd(), F_GETFD) & FD_CLOEXEC);
}

// cpython: _TestPicklingConnections.test_access, _TestConnection.test_spawn_close
TEST_P(Connections, AreMessagesThemselves) {
    auto [outer_a, outer_b] = Pipe<Connection<std::string, int>>();
    test::Party receiver(
        GetParam(),
        [](Connection<Connection<std::string, int>> end) {
            auto received = end.recv();
            received.send("hello");
            return received.recv() == 42 ? 0 : 1;
        },
        outer_b);
    test::let_go(GetParam(), outer_b);
    auto [mine, yours] = Pipe<int, std::string>();
    outer_a.send(yours);
    yours.close();
    EXPECT_EQ(mine.recv(), "hello");
    mine.send(42);
    EXPECT_EQ(receiver.wait(), 0);
    EXPECT_THROW(mine.recv(), Closed);
}

TEST(Connection, DescriptorIsReadableExactlyWhileThereIsAMessage) {
    auto [a, b] = Pipe<int>();
    a.send(1);
    const int fd = b.fileno();
    EXPECT_EQ(fd, b.fileno());
    EXPECT_TRUE(readable(fd));
    EXPECT_EQ(b.recv(), 1);
    EXPECT_FALSE(readable(fd));
    for (int round = 0; round < 3; ++round) {
        a.send(2);
        a.send(3);
        EXPECT_TRUE(readable(fd));
        EXPECT_EQ(b.recv(), 2);
        EXPECT_TRUE(readable(fd));
        EXPECT_EQ(b.recv(), 3);
        EXPECT_FALSE(readable(fd));
    }
    a.close();
    EXPECT_TRUE(readable(fd));
    EXPECT_THROW(b.recv(), Closed);
}

TEST(Connection, ADescriptorInPollMissesNoMessage) {
    auto [a, b] = Pipe<int>();
    constexpr int count = 20000;
    test::Child child([&, &a = a, &b = b] {
        b.close();
        for (int i = 0; i < count; ++i) a.send(i);
        return 0;
    });
    a.close();
    const int fd = b.fileno();
    for (int expected = 0; expected < count;) {
        pollfd state{fd, POLLIN, 0};
        ASSERT_EQ(::poll(&state, 1, 10'000), 1) << "stuck at " << expected;
        while (expected < count) {
            const auto value = b.try_recv();
            if (!value) break;
            ASSERT_EQ(*value, expected++);
        }
    }
    EXPECT_EQ(child.wait(), 0);
}

TEST(Connection, AStreamOfMixedSizesArrivesInOrder) {
    auto [a, b] = Pipe<int>({.capacity = 64 << 10});
    constexpr unsigned count = 3000;
    const auto size_of = [](unsigned i) { return (i * 7919U) % 61 == 0 ? 40'000U + i : (i * 131U) % 700U; };
    std::jthread sender([&, &a = a] {
        for (unsigned i = 0; i < count; ++i) a.send_bytes(pattern(size_of(i), i));
    });
    for (unsigned i = 0; i < count; ++i) ASSERT_TRUE(b.recv_bytes() == pattern(size_of(i), i)) << i;
}

/// A sender that dies after its k-th step: what arrived is a prefix of what it sent, the rest is the end of the stream,
/// and a successor on the same end goes on.
void sender_killed_at_each_step(std::size_t size) {
    auto [a, b] = Pipe<int>({.capacity = 512 << 10});
    const auto message = pattern(size);
    const int steps = test::kill_each_step(
        [&, &a = a] {
            a.send_bytes(message);
            a.send_bytes(message);
        },
        [&, &a = a, &b = b](bool finished) {
            a.send_bytes(pattern(11));
            int whole = 0;
            for (;;) {
                ASSERT_TRUE(b.poll(10s));
                const auto received = b.recv_bytes();
                if (received == pattern(11)) break;
                ASSERT_TRUE(received == message);
                ++whole;
            }
            EXPECT_TRUE(whole <= 2 && (!finished || whole == 2));
        });
    EXPECT_GE(steps, 8);
}

TEST(Connection, SurvivesASenderKilledAtAnyStepOfAShortMessage) { sender_killed_at_each_step(100); }
struct Flag {
    bool up;
    bool operator==(const Flag&) const = default;
};

// Long runs of plain elements go into the receiver's object without a copy in between.
TEST(Connection, LongRunsOfAnyElementsArriveWhole) {
    const auto arrives = [&](const auto& sent) {
        using Sent = std::remove_cvref_t<decltype(sent)>;
        auto [first, second] = Pipe<Sent>({.capacity = 64 << 10});
        std::jthread sender([&, end = second]() mutable { end.send(sent); });
        EXPECT_EQ(first.recv(), sent);
    };
    for (const std::size_t size : {65'535, 65'536, 65'537, 1'000'001}) {
        arrives(std::string(size, 'x'));
        arrives(std::u16string(size, u'y'));
        arrives(pattern(size));
        arrives(std::vector<Flag>(size, Flag{true}));
        arrives(std::vector<std::array<char, 3>>(size, {'a', 'b', 'c'}));
    }
}

TEST(Connection, ALongMessageThatIsNoRunIsRefusedAndTheNextArrives) {
    auto [here, there] = Pipe<std::vector<Flag>>();
    const auto refused = [&](std::uint64_t count, std::size_t size, std::byte value) {
        std::vector<std::byte> message(8 + size, value);
        std::memcpy(message.data(), &count, 8);
        std::jthread sender([&, end = there]() mutable { end.send_bytes(message); });
        EXPECT_THROW((void)here.recv(), SerializationError) << count;
    };
    constexpr std::size_t size = 1'000'000;
    refused(size + 1, size, std::byte(1));
    refused(size - 1, size, std::byte(1));
    refused(0, size, std::byte(1));
    refused(~std::uint64_t(0), size, std::byte(1));
    refused(size, size, std::byte(2));  // no bool
    std::jthread sender([end = there]() mutable { end.send(std::vector<Flag>(size, Flag{true})); });
    EXPECT_EQ(here.recv(), std::vector<Flag>(size, Flag{true}));
}

TEST(Connection, SurvivesASenderKilledAtAnyStepOfALongMessage) { sender_killed_at_each_step(200'000); }

TEST(Connection, SurvivesAReceiverKilledAtAnyStep) {
    for (std::size_t size : {100UL, 300'000UL}) {
        auto [a, b] = Pipe<int>();
        const auto message = pattern(size);
        a.send_bytes(message);
        const int steps = test::kill_each_step(
            [&, &b = b] { (void)b.recv_bytes(); },
            [&, &a = a, &b = b](bool) {
                a.send_bytes(pattern(11));
                while (b.recv_bytes() != pattern(11)) {
                }
                a.send_bytes(message);
            });
        EXPECT_GE(steps, 2);
    }
}

// cpython: _TestConnection.test_missing_fd_transfer
TEST(Connection, AMessageWithoutItsDescriptorIsAnError) {
    auto [a, b] = Pipe<int, Value<int>>();
    // The bytes of a Value without what belongs to them.
    b.send_bytes({});
    EXPECT_THROW(a.recv(), SerializationError);
    b.send(Value<int>(3));
    EXPECT_EQ(a.recv().load(), 3);
}

// cpython: TestIgnoreEINTR.test_ignore, _TestPollEintr.test_poll_eintr
TEST(Connection, SignalsDoNotDisturbALongMessage) {
    struct sigaction action {}, before {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, &before);
    auto [a, b] = Pipe<std::vector<std::byte>>();
    const auto message = pattern(4 << 20);
    test::Child child([&, &a = a, &b = b] {
        b.close();
        for (int i = 0; i < 10; ++i) a.send(message);
        a.recv();
        return 0;
    });
    a.close();
    for (int i = 0; i < 10; ++i) {
        child.kill(SIGUSR1);
        EXPECT_TRUE(b.recv() == message);
    }
    std::this_thread::sleep_for(5ms);
    child.kill(SIGUSR1);
    b.send({});
    EXPECT_EQ(child.wait(), 0);
    ::sigaction(SIGUSR1, &before, nullptr);
}

MP_EVERY_METHOD(Connections);

}  // namespace
}  // namespace mp
