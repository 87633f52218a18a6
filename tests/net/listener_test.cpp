// Listener and Client in every family: messages, handles, keys, hostile and silent clients, deaths.
#include <sys/wait.h>
#include <multiprocessing/listener.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/wait.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "net/address.hpp"
#include "net/handshake.hpp"
#include "net/stream.hpp"
#include "support/child.hpp"
#include "support/leak_check.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string socket_path() {
    static int count = 0;
    return std::filesystem::temp_directory_path() / ("listener-" + std::to_string(++count));
}

std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + i / 4096);
    return bytes;
}

/// A connection that speaks no protocol.
os::UniqueFd raw_client(const std::string& address) {
    auto socket =
        net::connect_to(net::socket_addresses(net::parse_address(address), false).front(), base::Deadline::never());
    EXPECT_TRUE(socket);
    return std::move(*socket);
}

class EveryFamily : public test::LeakCheck, public testing::WithParamInterface<std::string> {
  protected:
    std::string place() const {
        return GetParam() == "path" ? socket_path() : GetParam() == "abstract" ? "" : GetParam();
    }
    bool is_tcp() const { return GetParam().ends_with(":0"); }
};
INSTANTIATE_TEST_SUITE_P(, EveryFamily, testing::Values("path", "abstract", "localhost:0", "[::1]:0"),
                         [](const auto& info) {
                             return info.param == "localhost:0" ? std::string("tcp4")
                                    : info.param == "[::1]:0"   ? std::string("tcp6")
                                                                : info.param;
                         });
using Listening = test::LeakCheck;

// cpython: _TestListenerClient.test_listener_client
TEST_P(EveryFamily, CarriesTypedMessagesBothWays) {
    Listener listener(place(), {.authkey = "secret"});
    test::Child child([&] {
        auto connection = Client<std::string, int>(listener.address(), {.authkey = "secret"});
        connection.send("hello");
        const bool good = connection.recv() == 42;
        connection.close();
        return good ? 0 : 1;
    });
    auto connection = listener.accept<int, std::string>();
    EXPECT_EQ(connection.recv(), "hello");
    connection.send(42);
    EXPECT_THROW(connection.recv(), Closed);
    EXPECT_EQ(child.wait(), 0);
    const std::string from = GetParam() == "localhost:0" ? "127.0.0.1:" : is_tcp() ? "[::1]:" : "";
    EXPECT_THAT(listener.last_accepted(), testing::StartsWith(from));
}

// cpython: _TestListener.test_multiple_bind
TEST_P(EveryFamily, AnAddressInUseIsRefusedAndFreeAgainAfterClose) {
    Listener listener(place());
    const std::string address = listener.address();
    try {
        Listener second(address);
        FAIL();
    } catch (const SystemError& error) {
        EXPECT_EQ(error.code().value(), EADDRINUSE);
        EXPECT_THAT(error.what(), HasSubstr("cannot listen at \"" + address + "\""));
    }
    {
        auto connection = Client<int>(address);
        auto other = listener.accept<int>();
        listener.close();
    }
    Listener again(address);
    EXPECT_EQ(again.address(), address);
}

// cpython: _TestListener.test_context
TEST_P(EveryFamily, UseAfterCloseIsAnError) {
    Listener listener(place());
    listener.close();
    listener.close();
    EXPECT_TRUE(listener.closed());
    EXPECT_THROW(listener.accept<int>(), Closed);
    EXPECT_THROW(listener.poll(), Closed);
}

// cpython: _TestListenerClient.test_issue14725
TEST_P(EveryFamily, AClientMayWriteAndLeaveBeforeItIsAccepted) {
    Listener listener(place());
    test::Child child([&] {
        auto connection = Client<std::string>(listener.address());
        connection.send("left already");
        return 0;
    });
    EXPECT_EQ(child.wait(), 0);
    auto connection = listener.accept<std::string>();
    EXPECT_EQ(connection.recv(), "left already");
    EXPECT_THROW(connection.recv(), Closed);
}

// cpython: _TestListenerClient.test_issue16955
TEST_P(EveryFamily, PollSeesDataRightAfterAccept) {
    Listener listener(place());
    auto client = Client<std::string>(listener.address());
    auto server = listener.accept<std::string>();
    EXPECT_FALSE(client.poll());
    server.send("hello");
    EXPECT_TRUE(client.poll(10s));
    EXPECT_EQ(client.recv(), "hello");
    EXPECT_FALSE(client.poll());
}

// cpython: _TestPoll.test_empty_string, test_strings, test_boundaries, test_dont_merge
TEST_P(EveryFamily, KeepsBoundariesAndConsumesNothingByPolling) {
    Listener listener(place(), {.authkey = "k"});
    std::optional<Connection<std::string>> a;
    std::jthread connecting([&] { a = Client<std::string>(listener.address(), {.authkey = "k"}); });
    auto b = listener.accept<std::string>();
    connecting.join();
    a->send_bytes({});
    a->send("first");
    a->send("second");
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(b.poll(10s));
    EXPECT_TRUE(b.recv_bytes().empty());
    EXPECT_TRUE(wait({b}, 10s) == std::vector<std::size_t>{0});
    EXPECT_EQ(b.recv(), "first");
    EXPECT_EQ(b.recv_for(10s), "second");
    EXPECT_EQ(b.try_recv(), std::nullopt);
    EXPECT_EQ(b.recv_for(1ms), std::nullopt);
}

// cpython: _TestConnection.test_connection, TestIgnoreEINTR.test_ignore
TEST_P(EveryFamily, SixteenMebibytesPassInPiecesUnderSignals) {
    struct sigaction action{}, before{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, &before);
    Listener listener(place());
    const auto message = pattern(16 << 20);
    test::Child child([&] {
        auto connection = Client<std::vector<std::byte>>(listener.address());
        connection.send(message);
        connection.send_bytes(message);
        return 0;
    });
    auto connection = listener.accept<std::vector<std::byte>>();
    for (int i = 0; i < 20; ++i) child.kill(SIGUSR1);
    std::optional<std::vector<std::byte>> first;
    while (!first) first = connection.recv_for(1ms);  // in the middle of the message, again and again
    EXPECT_TRUE(*first == message);
    std::vector<std::byte> buffer(message.size() - 1);
    EXPECT_THROW(connection.recv_bytes_into(buffer), BufferTooShort);
    buffer.resize(message.size());
    EXPECT_EQ(connection.recv_bytes_into(buffer), message.size());
    EXPECT_TRUE(buffer == message);
    EXPECT_EQ(child.wait(), 0);
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(EveryFamily, APeerKilledInTheMiddleOfAMessageEndsTheReceiverAndTheSender) {
    Listener listener(place());
    test::Child child([&] {
        auto connection = Client<std::vector<std::byte>>(listener.address());
        connection.send(std::vector<std::byte>(64 << 20));  // far more than the system holds in between
        return 0;
    });
    auto connection = listener.accept<std::vector<std::byte>>();
    EXPECT_TRUE(connection.poll(60s));
    // Stopped first, or it might keep pace with what is read here and be done.
    ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
    siginfo_t stopped{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &stopped, WSTOPPED | WNOWAIT), 0);
    EXPECT_EQ(connection.try_recv(), std::nullopt);
    child.kill();
    child.wait();
    try {
        connection.recv();
        FAIL();
    } catch (const Closed& error) {
        EXPECT_THAT(error.what(), HasSubstr("in the middle of a message"));
    }
    EXPECT_THROW(
        {
            for (int i = 0; i < 1000; ++i) connection.send(std::vector<std::byte>(1 << 20));
        },
        Closed);
}

TEST_P(EveryFamily, AWrongKeyIsTheSameErrorOnBothSidesAndTheLoopGoesOn) {
    Listener listener(place(), {.authkey = "right"});
    test::Child child([&] {
        int refused = 0;
        for (const std::optional<std::string> key : {"wrong", ""}) {
            try {
                (void)Client<int>(listener.address(), {.authkey = key});
            } catch (const AuthenticationError&) {
                ++refused;
            }
        }
        try {
            auto keyless = Client<int>(listener.address());
            keyless.recv();
        } catch (const AuthenticationError&) {
            ++refused;
        }
        auto good = Client<int>(listener.address(), {.authkey = "right"});
        good.send(refused);
        return 0;
    });
    for (int i = 0; i < 3; ++i) EXPECT_THROW(listener.accept<int>(), AuthenticationError);
    EXPECT_EQ(listener.accept<int>().recv(), 3);
    EXPECT_EQ(child.wait(), 0);
}

// cpython: _TestListener.test_empty_authkey
TEST_P(EveryFamily, AnEmptyKeyIsAKey) {
    Listener listener(place(), {.authkey = ""});
    test::Child child([&] {
        auto good = Client<int>(listener.address(), {.authkey = ""});
        good.send(1);
        return 0;
    });
    EXPECT_EQ(listener.accept<int>().recv(), 1);
    EXPECT_EQ(child.wait(), 0);
}

TEST_P(EveryFamily, SilentAndHostileClientsHoldUpNobody) {
    Listener listener(place(), {.authkey = "secret"});
    std::vector<os::UniqueFd> silent;
    for (int i = 0; i < 30; ++i) silent.push_back(raw_client(listener.address()));
    const auto garbage = pattern(4096);
    auto talker = raw_client(listener.address());
    (void)net::send_some(talker.get(), garbage, {}, {});
    raw_client(listener.address()).reset();
    test::Child child([&] {
        auto good = Client<int>(listener.address(), {.authkey = "secret"});
        good.send(7);
        return 0;
    });
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(listener.accept<int>().recv(), 7);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 4s);  // less than the silent ones are given
    EXPECT_EQ(child.wait(), 0);
}

TEST_P(EveryFamily, AFloodOfSilentClientsCannotFillTheTable) {
    Listener listener(place(), {.authkey = "secret", .backlog = 256});
    std::vector<os::UniqueFd> silent;
    for (int i = 0; i < 100; ++i) {
        silent.push_back(raw_client(listener.address()));
        EXPECT_FALSE(listener.poll());
    }
    test::Child child([&] {
        auto good = Client<int>(listener.address(), {.authkey = "secret"});
        good.send(7);
        return 0;
    });
    EXPECT_EQ(listener.accept<int>().recv(), 7);
    EXPECT_EQ(child.wait(), 0);
}

TEST_P(EveryFamily, ASilentClientIsDroppedInTime) {
    Listener listener(place(), {.authkey = "secret", .handshake_timeout = 50ms});
    auto silent = raw_client(listener.address());
    EXPECT_FALSE(listener.accept_for<int>(200ms));
    pollfd state{silent.get(), POLLRDHUP, 0};
    EXPECT_EQ(::poll(&state, 1, 10000), 1);
}

TEST_P(EveryFamily, ADamagedMessageIsATypedErrorAndCostsNoMemory) {
    Listener listener(place());
    const auto send_raw = [&](std::span<const std::byte> bytes) {
        auto socket = raw_client(listener.address());
        net::Handshake hello(net::Handshake::Role::client, {}, {});
        (void)net::send_some(socket.get(), hello.outgoing(), bytes, {});
        return socket;
    };
    {
        const auto garbage = pattern(64);
        auto socket = send_raw(garbage);
        auto connection = listener.accept<int>();
        EXPECT_THROW(connection.recv(), SerializationError);
    }
    {
        struct {
            std::uint32_t magic = 0x6672'706dU, handles = 0;
            std::uint64_t bytes = std::uint64_t{1} << 45;  // announced, never sent
        } head;
        auto socket = send_raw(std::as_bytes(std::span(&head, 1)));
        auto connection = listener.accept<int>();
        EXPECT_EQ(connection.recv_for(1ms), std::nullopt);
        socket.reset();
        EXPECT_THROW(connection.recv(), Closed);
    }
}

TEST_P(EveryFamily, HandlesTravelOverUnixSocketsAndAreRefusedOverTcp) {
    Listener listener(place());
    auto a = Client<std::vector<serial::Handle>>(listener.address());
    auto b = listener.accept<std::vector<serial::Handle>>();
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const os::UniqueFd reading(ends[0]);
    const serial::Handle writing(ends[1]);
    for (const std::size_t count : {1, 253, 254, 600}) {
        const std::vector<serial::Handle> handles(count, writing);
        if (is_tcp()) {
            try {
                a.send(handles);
                FAIL();
            } catch (const SerializationError& error) {
                EXPECT_THAT(error.what(), HasSubstr("cannot be sent over TCP"));
            }
            continue;
        }
        a.send(handles);
        const auto arrived = b.recv();
        ASSERT_EQ(arrived.size(), count);
        EXPECT_EQ(::write(arrived.back().fd(), "x", 1), 1);
        char read = 0;
        EXPECT_EQ(::read(reading.get(), &read, 1), 1);
    }
    a.send({});
    EXPECT_TRUE(b.recv().empty());
}

// cpython: _TestPicklingConnections.test_pickling
TEST_P(EveryFamily, AConnectionCanBeHandedToAnotherProcess) {
    Listener listener(place());
    auto [to_child, in_child] = Pipe<Connection<std::string>>();
    test::Child child([&, &to_child = to_child, &in_child = in_child] {
        to_child.close();
        auto connection = in_child.recv();
        connection.send("from another process");
        return 0;
    });
    in_child.close();
    auto a = Client<std::string>(listener.address());
    {
        auto b = listener.accept<std::string>();
        to_child.send(b);
    }
    EXPECT_EQ(a.recv(), "from another process");
    EXPECT_THROW(a.recv(), Closed);
    EXPECT_EQ(child.wait(), 0);
}

TEST_P(EveryFamily, CanBeWaitedForTogetherWithQueues) {
    Listener listener(place(), {.authkey = "k"});
    Queue<int> queue;
    EXPECT_TRUE(wait({listener, queue}, 1ms).empty());
    test::Child child([&] {
        auto connection = Client<int>(listener.address(), {.authkey = "k"});
        return connection.recv();
    });
    EXPECT_EQ(wait({listener, queue}, 60s), std::vector<std::size_t>{0});
    pollfd state{listener.fileno(), POLLIN, 0};
    EXPECT_EQ(::poll(&state, 1, 0), 1);
    auto connection = listener.try_accept<int>();
    ASSERT_TRUE(connection);
    connection->send(0);
    EXPECT_EQ(::poll(&state, 1, 0), 0);
    EXPECT_EQ(child.wait(), 0);
}

// cpython: TestIgnoreEINTR.test_ignore_listener
TEST_P(EveryFamily, AcceptGoesOnAfterASignal) {
    Listener listener(place());
    auto [ready, told] = Pipe<int>();
    test::Child child([&, &ready = ready] {
        struct sigaction action{};
        action.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &action, nullptr);
        ready.send(1);
        return listener.accept<int>().recv();
    });
    told.recv();
    for (int i = 0; i < 5; ++i) child.kill(SIGUSR1);
    auto connection = Client<int>(listener.address());
    connection.send(0);
    EXPECT_EQ(child.wait(), 0);
}

// cpython: _TestListener.test_abstract_socket
TEST_F(Listening, AnAbstractNameIsWrittenWithAnAt) {
    const std::string name = "@multiprocessing-test-" + std::to_string(::getpid());
    Listener listener(name);
    EXPECT_EQ(listener.address(), name);
    auto client = Client<int>(name);
    auto server = listener.accept<int>();
    client.send(3);
    EXPECT_EQ(server.recv(), 3);
    EXPECT_EQ(listener.last_accepted(), "");
}

TEST_F(Listening, TcpIsBoundToLoopbackUnlessToldOtherwise) {
    EXPECT_THAT(Listener(":0").address(), testing::StartsWith("127.0.0.1:"));
    EXPECT_THAT(Listener("localhost:0").address(), testing::StartsWith("127.0.0.1:"));
    EXPECT_THAT(Listener("*:0").address(), testing::StartsWith("0.0.0.0:"));
    EXPECT_THAT(Listener("[::1]:0").address(), testing::StartsWith("[::1]:"));
}

TEST_F(Listening, ASocketFileIsPrivateReplacedWhenStaleAndRemovedAtClose) {
    const std::string path = socket_path();
    test::Child owner([&] {
        Listener listener(path);
        ::raise(SIGKILL);
        return 0;
    });
    EXPECT_EQ(owner.wait(), -SIGKILL);
    EXPECT_TRUE(std::filesystem::exists(path));
    {
        Listener listener(path);
        struct stat file{};
        ASSERT_EQ(::lstat(path.c_str(), &file), 0);
        EXPECT_EQ(file.st_mode & 0777, 0600U);
        test::Child forked([&] {
            listener.close();
            return 0;
        });
        EXPECT_EQ(forked.wait(), 0);
        auto client = Client<int>(path);
    }
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_THROW((void)Client<int>(path), SystemError);
}

TEST_F(Listening, AFileThatIsNoSocketIsLeftAlone) {
    const std::string path = socket_path();
    {
        os::UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    EXPECT_THROW(Listener{path}, SystemError);
    EXPECT_TRUE(std::filesystem::exists(path));
    ::unlink(path.c_str());
}

TEST_F(Listening, AListenerWithoutAKeyIsNotWhatAClientWithOneWants) {
    Listener listener;
    test::Child child([&] {
        try {
            (void)Client<int>(listener.address(), {.authkey = "secret"});
        } catch (const AuthenticationError& error) {
            return std::strstr(error.what(), "has no authentication key") ? 0 : 1;
        }
        return 2;
    });
    EXPECT_THROW(listener.accept<int>(), AuthenticationError);
    EXPECT_EQ(child.wait(), 0);
}

TEST_F(Listening, AClientGivesUpInTimeAtAListenerThatNeverAnswers) {
    Listener listener("", {.authkey = "k"});
    const auto start = std::chrono::steady_clock::now();
    try {
        (void)Client<int>(listener.address(), {.authkey = "k", .timeout = 50ms});
        FAIL();
    } catch (const SystemError& error) {
        EXPECT_EQ(error.code().value(), ETIMEDOUT);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

// cpython: TestInvalidFamily.test_invalid_family
TEST_F(Listening, ReadsAddressesAndRefusesOthersInOneSentence) {
    using net::parse_address;
    for (const char* text : {"/tmp/socket", "@name", "localhost:6000", "127.0.0.1:0", "[::1]:65535", "*:1", ":5"})
        EXPECT_EQ(parse_address(text).to_string(), text);
    EXPECT_EQ(parse_address("unix:name").to_string(), "name");
    const auto refusal = [](const std::string& text) -> std::string {
        try {
            parse_address(text);
        } catch (const Error& error) {
            return error.what();
        }
        return "accepted";
    };
    EXPECT_THAT(refusal("nonsense"), HasSubstr("\"nonsense\" is no address: write /path/of/a/socket, @name"));
    EXPECT_THAT(refusal(""), HasSubstr("is no address"));
    EXPECT_THAT(refusal("@"), HasSubstr("the name of the socket is missing"));
    EXPECT_THAT(refusal('/' + std::string(200, 'x')), HasSubstr("at most 107 bytes"));
    EXPECT_THAT(refusal("host:65536"), HasSubstr("a number from 0 to 65535"));
    EXPECT_THAT(refusal("host:"), HasSubstr("a number from 0 to 65535"));
    EXPECT_THAT(refusal("host:-1"), HasSubstr("a number from 0 to 65535"));
    EXPECT_THAT(refusal("::1:5"), HasSubstr("stands in brackets"));
    EXPECT_THAT(refusal("[localhost]:5"), HasSubstr("only an IPv6 address"));
    EXPECT_THROW((void)Client<int>("*:5"), Error);
}

}  // namespace
}  // namespace mp
