// Both sides of the handshake on arbitrary bytes. Nobody who does not have the key gets in, and never is more read than
// the protocol has.
#include "net/handshake.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

using mp::net::Handshake;

void feed(Handshake handshake, const std::uint8_t* data, std::size_t size, bool may_succeed) {
    std::size_t read = 0;
    while (size != 0 && !handshake.wanted().empty()) {
        const auto to = handshake.wanted();
        const std::size_t count = std::min({to.size(), size, std::size_t{1} + data[0] % 48});
        std::memcpy(to.data(), data, count);
        handshake.received(count);
        data += count;
        size -= count;
        read += count;
        handshake.sent(handshake.outgoing().size());
    }
    if (read > 2 * Handshake::longest) std::abort();
    if (!may_succeed && handshake.state() == Handshake::State::done) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    mp::net::Nonce nonce;
    nonce.fill(std::byte{0x5a});
    for (const auto role : {Handshake::Role::server, Handshake::Role::client}) {
        feed(Handshake(role, "a key that nobody guesses", nonce), data, size, false);
        feed(Handshake(role, std::nullopt, nonce), data, size, true);
    }
    return 0;
}
