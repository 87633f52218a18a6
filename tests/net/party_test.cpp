// What Listener and Client promise to other processes, however those were started, and to threads.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/listener.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "support/party.hpp"

namespace mp {
namespace {

using namespace std::chrono_literals;
using test::Party;

class NetParties : public test::EveryMethod {};

// cpython: _TestListenerClient.test_listener_client
TEST_P(NetParties, TalkInEveryFamilyWithAndWithoutAKey) {
    const auto client = [](std::string address, std::optional<std::string> key) {
        auto connection = Client<std::string, std::vector<int>>(address, {.authkey = key});
        connection.send("how many?");
        const auto numbers = connection.recv();
        connection.send(std::to_string(numbers.size()));
        return 0;
    };
    for (const char* place : {"", "localhost:0"}) {
        for (const auto& key : {std::optional<std::string>(), std::optional<std::string>("secret")}) {
            Listener listener(place, {.authkey = key});
            Party party(GetParam(), client, listener.address(), key);
            auto connection = listener.accept<std::vector<int>, std::string>();
            EXPECT_EQ(connection.recv(), "how many?");
            connection.send(std::vector<int>(300'000, 7));
            EXPECT_EQ(connection.recv(), "300000");
            EXPECT_THROW(connection.recv(), Closed);
            EXPECT_EQ(party.wait(), 0);
        }
    }
}

TEST_P(NetParties, AreToldOfAWrongKeyAndOfAListenerThatIsGone) {
    std::string address;
    {
        Listener listener("", {.authkey = "secret"});
        address = listener.address();
        Party party(
            GetParam(),
            [](std::string at) {
                try {
                    (void)Client<int>(at, {.authkey = "guess"});
                } catch (const AuthenticationError&) {
                    return 0;
                }
                return 1;
            },
            address);
        EXPECT_THROW(listener.accept<int>(), AuthenticationError);
        EXPECT_EQ(party.wait(), 0);
    }
    Party late(
        GetParam(),
        [](std::string at) {
            try {
                (void)Client<int>(at, {.authkey = "secret"});
            } catch (const SystemError& error) {
                return error.code().value() == ECONNREFUSED ? 0 : 1;
            }
            return 2;
        },
        address);
    EXPECT_EQ(late.wait(), 0);
}

// cpython: _TestListenerClient.test_listener_client
TEST_P(NetParties, MayBeTheOneThatListens) {
    auto [told, tell] = Pipe<void, std::string>();
    Party party(
        GetParam(),
        [](Connection<std::string, void> announce) {
            Listener listener("", {.authkey = "secret"});
            announce.send(listener.address());
            announce.close();
            for (int i = 0; i < 3; ++i) {
                auto connection = listener.accept<int>();
                connection.send(connection.recv() + i);
            }
            return 0;
        },
        tell);
    test::let_go(GetParam(), tell);
    const std::string address = told.recv();
    for (int i = 0; i < 3; ++i) {
        auto connection = Client<int>(address, {.authkey = "secret"});
        connection.send(40);
        EXPECT_EQ(connection.recv(), 40 + i);
        EXPECT_THROW(connection.recv(), Closed);
    }
    EXPECT_EQ(party.wait(), 0);
}

// cpython: _TestPicklingConnections.test_pickling
TEST_P(NetParties, AreGivenConnectionsAndWhatTravelsThroughThem) {
    Listener listener;
    auto mine = Client<Value<int>>(listener.address());
    auto theirs = listener.accept<Value<int>>();
    Party party(
        GetParam(),
        [](Connection<Value<int>> connection) {
            auto value = connection.recv();
            value += 2;
            connection.send(value);
            return 0;
        },
        theirs);
    test::let_go(GetParam(), theirs);
    const Value<int> value(40);
    mine.send(value);
    EXPECT_EQ(mine.recv().load(), 42);
    EXPECT_EQ(value.load(), 42);
    EXPECT_EQ(party.wait(), 0);
}

MP_EVERY_METHOD(NetParties);

}  // namespace
}  // namespace mp
