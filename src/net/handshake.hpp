// The handshake that opens every connection between unrelated processes: who speaks this protocol, and who has the key.
// Bytes in, bytes out: no socket, no clock. See docs/design/connections.md for its reasons.
//
//   client -> server   hello: magic, byte order, "I have a key", nonce                 48 bytes
//   server -> client   unless both have no key: hello                                  48 bytes
//   client -> server   if both have a key: proof                                       32 bytes
//   server -> client   if both have a key: verdict, proof                              33 bytes
//
// proof = HMAC-SHA-256(key, role of its sender, server's hello, client's hello)
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/sha256.hpp"

namespace mp::net {

using Nonce = std::array<std::byte, 32>;

class Handshake {
  public:
    enum class Role { server, client };
    enum class State {
        running,
        done,
        not_ours,      ///< the other side speaks something else
        wrong_key,     ///< its key is another one, or it says that ours is
        key_missing,   ///< it has a key and we have none
        key_unwanted,  ///< we have a key and it has none
    };
    static constexpr std::size_t hello_size = 48;
    static constexpr std::size_t longest = hello_size + sizeof(Digest);  ///< what is ever read in one step

    /// `nonce`: random bytes that were never used before.
    Handshake(Role role, std::optional<std::string> key, const Nonce& nonce);

    State state() const { return state_; }
    bool failed() const { return state_ != State::running && state_ != State::done; }

    /// What is to be sent next, even after a failure: it tells the other side. Empty: nothing.
    std::span<const std::byte> outgoing() const { return {out_.data() + sent_, out_size_ - sent_}; }
    void sent(std::size_t count) { sent_ += count; }

    /// Where the next bytes belong; exactly as many as may be read now. Empty unless running.
    std::span<std::byte> wanted();
    /// `count` of the wanted bytes are there.
    void received(std::size_t count);

  private:
    enum class Step { hello, proof, verdict };

    void put(std::span<const std::byte> bytes);
    void expect(Step step, std::size_t size);
    void take_hello();
    Digest proof(Role of) const;

    Role role_;
    std::optional<std::string> key_;
    std::array<std::byte, hello_size> own_hello_{}, other_hello_{};
    std::array<std::byte, 2 * longest> out_{};
    std::size_t out_size_ = 0, sent_ = 0;
    std::array<std::byte, longest> in_{};
    std::size_t wanted_ = 0, got_ = 0;
    Step step_ = Step::hello;
    State state_ = State::running;
};

/// Whether these bytes are the beginning of a hello; eight are enough.
bool begins_hello(std::span<const std::byte> bytes);

/// One sentence for a failed state. `server`: the listening side speaks.
std::string reason(Handshake::State state, bool server);

}  // namespace mp::net
