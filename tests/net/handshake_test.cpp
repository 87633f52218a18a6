// The handshake without sockets: who gets in, who does not, and what a liar can make of it.
#include "net/handshake.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace mp::net {
namespace {

using Role = Handshake::Role;
using State = Handshake::State;

Nonce nonce(int seed) {
    Nonce bytes;
    bytes.fill(static_cast<std::byte>(seed));
    return bytes;
}

/// Moves what `from` has to send to `to`, byte by byte; what was moved.
std::vector<std::byte> pass(Handshake& from, Handshake& to) {
    std::vector<std::byte> moved;
    while (!from.outgoing().empty() && !to.wanted().empty()) {
        moved.push_back(from.outgoing()[0]);
        to.wanted()[0] = moved.back();
        from.sent(1);
        to.received(1);
    }
    return moved;
}

/// Gives `to` these bytes one by one, as long as it wants any.
void deliver(const std::vector<std::byte>& bytes, Handshake& to) {
    for (const std::byte byte : bytes) {
        if (to.wanted().empty()) return;
        to.wanted()[0] = byte;
        to.received(1);
    }
}

std::pair<State, State> meet(std::optional<std::string> server_key, std::optional<std::string> client_key) {
    Handshake server(Role::server, std::move(server_key), nonce(1));
    Handshake client(Role::client, std::move(client_key), nonce(2));
    for (int i = 0; i < 4; ++i) {
        pass(server, client);
        pass(client, server);
    }
    return {server.state(), client.state()};
}

// cpython: ChallengeResponseTest.test_challengeresponse
// Python lets the sides choose a digest; here it belongs to the version in the hello, and there is nothing to bargain down.
TEST(Handshake, LetsInWhoHasTheKeyAndEverybodyWhereThereIsNone) {
    EXPECT_EQ(meet("secret", "secret"), std::pair(State::done, State::done));
    EXPECT_EQ(meet("", ""), std::pair(State::done, State::done));
    // A listener that wants no key has nothing to say: the client just goes on.
    EXPECT_EQ(meet({}, {}), std::pair(State::done, State::running));
}

// cpython: OtherTest.test_deliver_challenge_auth_failure, OtherTest.test_answer_challenge_auth_failure
TEST(Handshake, TellsBothSidesOfAWrongKey) {
    EXPECT_EQ(meet("secret", "Secret"), std::pair(State::wrong_key, State::wrong_key));
    EXPECT_EQ(meet("secret", ""), std::pair(State::wrong_key, State::wrong_key));
    EXPECT_EQ(meet("secret", {}), std::pair(State::key_unwanted, State::key_missing));
    EXPECT_EQ(meet({}, "secret"), std::pair(State::key_missing, State::key_unwanted));
}

TEST(Handshake, KnowsAnEchoOfItself) {
    for (const Role role : {Role::server, Role::client}) {
        Handshake one(role, "secret", nonce(1));
        const auto out = one.outgoing();
        deliver({out.begin(), out.end()}, one);
        EXPECT_EQ(one.state(), State::not_ours);
    }
}

TEST(Handshake, ProofsOfOneDirectionProveNothingInTheOther) {
    // A liar without the key relays between a true client and itself, and returns the client's own proof as the
    // server's.
    Handshake client(Role::client, "secret", nonce(2));
    Handshake liar(Role::server, "guess", nonce(1));
    pass(liar, client);
    const auto sent = pass(client, liar);
    ASSERT_EQ(sent.size(), Handshake::longest);
    std::vector<std::byte> answer{std::byte{1}};
    answer.insert(answer.end(), sent.begin() + Handshake::hello_size, sent.end());
    ASSERT_EQ(client.wanted().size(), answer.size());
    deliver(answer, client);
    EXPECT_EQ(client.state(), State::wrong_key);
}

TEST(Handshake, AServerSaysNothingOfItsKeyToWhoHasNotProvedIt) {
    Handshake server(Role::server, "secret", nonce(1));
    Handshake client(Role::client, "guess", nonce(2));
    pass(server, client);
    pass(client, server);
    ASSERT_EQ(server.outgoing().size(), 1 + sizeof(Digest));
    EXPECT_TRUE(std::ranges::all_of(server.outgoing(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST(Handshake, AProofIsGoodForOneConnectionOnly) {
    Handshake first(Role::server, "secret", nonce(1));
    Handshake client(Role::client, "secret", nonce(2));
    pass(first, client);
    const auto recorded = pass(client, first);
    ASSERT_EQ(first.state(), State::done);
    Handshake second(Role::server, "secret", nonce(3));
    deliver(recorded, second);
    EXPECT_EQ(second.state(), State::wrong_key);
}

TEST(Handshake, EveryChangedByteOfAHelloOrProofIsRefused) {
    Handshake origin(Role::server, "secret", nonce(1));
    Handshake client(Role::client, "secret", nonce(2));
    pass(origin, client);
    const auto good = pass(client, origin);
    for (std::size_t at = 0; at < good.size(); ++at) {
        if (at >= 10 && at < 16) continue;  // spare bytes; they are signed as well
        Handshake server(Role::server, "secret", nonce(1));
        auto bytes = good;
        bytes[at] ^= std::byte{0x10};
        deliver(bytes, server);
        EXPECT_TRUE(server.failed()) << at;
    }
}

}  // namespace
}  // namespace mp::net
