#include "net/handshake.hpp"

#include <bit>
#include <cstring>
#include <utility>

namespace mp::net {

namespace {

constexpr std::string_view magic = "\x7fmp-net1";  // the digit: version of the protocol
constexpr std::size_t order_at = 8, key_at = 9, nonce_at = 16;
constexpr std::byte order{std::endian::native == std::endian::little ? 1 : 2};
constexpr std::byte accepted{1}, refused{0};

// The role is part of what is signed: a proof sent back to its maker proves nothing.
constexpr std::string_view role_texts[] = {"mp-net1 server..", "mp-net1 client.."};

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

Handshake::Handshake(Role role, std::optional<std::string> key, const Nonce& nonce)
    : role_(role), key_(std::move(key)) {
    std::memcpy(own_hello_.data(), magic.data(), magic.size());
    own_hello_[order_at] = order;
    own_hello_[key_at] = std::byte{key_.has_value()};
    std::memcpy(own_hello_.data() + nonce_at, nonce.data(), nonce.size());
    // A server that wants no key has nothing to say to a client that has none.
    if (role_ == Role::client || key_) put(own_hello_);
    expect(Step::hello, hello_size);
}

void Handshake::put(std::span<const std::byte> bytes) {
    std::memcpy(out_.data() + out_size_, bytes.data(), bytes.size());
    out_size_ += bytes.size();
}

void Handshake::expect(Step step, std::size_t size) {
    step_ = step;
    wanted_ = size;
    got_ = 0;
}

std::span<std::byte> Handshake::wanted() {
    if (state_ != State::running) return {};
    return {in_.data() + got_, wanted_ - got_};
}

Digest Handshake::proof(Role of) const {
    const bool server = role_ == Role::server;
    return hmac_sha256(bytes_of(*key_), {bytes_of(role_texts[of == Role::server ? 0 : 1]),
                                         server ? own_hello_ : other_hello_, server ? other_hello_ : own_hello_});
}

void Handshake::take_hello() {
    std::memcpy(other_hello_.data(), in_.data(), hello_size);
    const bool ours = std::memcmp(other_hello_.data(), magic.data(), magic.size()) == 0 &&
                      other_hello_[order_at] == order && other_hello_[key_at] <= std::byte{1};
    // With our own nonce it is an echo of ourselves.
    const bool echo = std::memcmp(other_hello_.data() + nonce_at, own_hello_.data() + nonce_at, sizeof(Nonce)) == 0;
    if (!ours || echo) {
        state_ = State::not_ours;
        return;
    }
    const bool other_has_key = other_hello_[key_at] == std::byte{1};
    if (role_ == Role::server && !key_ && other_has_key) put(own_hello_);
    if (other_has_key && !key_)
        state_ = State::key_missing;
    else if (!other_has_key && key_)
        state_ = State::key_unwanted;
    else if (!key_)
        state_ = State::done;
    else if (role_ == Role::server)
        expect(Step::proof, sizeof(Digest));
    else {
        put(proof(Role::client));
        expect(Step::verdict, 1 + sizeof(Digest));
    }
}

void Handshake::received(std::size_t count) {
    got_ += count;
    if (got_ < wanted_ || state_ != State::running) return;
    if (step_ == Step::hello) return take_hello();
    Digest theirs;
    std::memcpy(theirs.data(), in_.data() + (step_ == Step::verdict ? 1 : 0), sizeof theirs);
    if (step_ == Step::proof) {
        const bool good = equal_in_constant_time(theirs, proof(Role::client));
        put({good ? &accepted : &refused, 1});
        // Nobody learns anything about the key who has not proved to have it.
        put(good ? proof(Role::server) : Digest{});
        state_ = good ? State::done : State::wrong_key;
    } else {
        const bool good = in_[0] == accepted && equal_in_constant_time(theirs, proof(Role::server));
        state_ = good ? State::done : State::wrong_key;
    }
}

bool begins_hello(std::span<const std::byte> bytes) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

std::string reason(Handshake::State state, bool server) {
    const std::string other = server ? "the client" : "the listener";
    switch (state) {
        case Handshake::State::not_ours:
            return other + " does not speak this protocol";
        case Handshake::State::wrong_key:
            return other + " has another authentication key";
        case Handshake::State::key_missing:
            return other + " asks for an authentication key and this side has none";
        case Handshake::State::key_unwanted:
            return other + " has no authentication key and this side has one";
        case Handshake::State::running:
        case Handshake::State::done:
            break;
    }
    return "the handshake with " + other + " did not fail";
}

}  // namespace mp::net
