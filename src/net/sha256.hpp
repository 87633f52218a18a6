// SHA-256 (FIPS 180-4), and with it HMAC (RFC 2104), for the handshake between processes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace mp::net {

using Digest = std::array<std::byte, 32>;

class Sha256 {
  public:
    void update(std::span<const std::byte> bytes);
    /// The digest of everything given so far. Ends the use of this object.
    Digest finish();

  private:
    void compress(const std::byte* block);

    // FIPS 180-4, 5.3.3
    std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::byte, 64> block_{};
    std::size_t filled_ = 0;    // bytes of block_ in use
    std::uint64_t length_ = 0;  // bytes in all
};

Digest sha256(std::span<const std::byte> bytes);

/// Of the parts one after the other. A key of any length, also none.
Digest hmac_sha256(std::span<const std::byte> key, std::initializer_list<std::span<const std::byte>> parts);

/// In a time that does not depend on where they differ.
bool equal_in_constant_time(const Digest& a, const Digest& b);

}  // namespace mp::net
