#include "net/sha256.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mp::net {

namespace {

// FIPS 180-4, 4.2.2
constexpr std::uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t big_endian(const std::byte* at) {
    return std::to_integer<std::uint32_t>(at[0]) << 24 | std::to_integer<std::uint32_t>(at[1]) << 16 |
           std::to_integer<std::uint32_t>(at[2]) << 8 | std::to_integer<std::uint32_t>(at[3]);
}

void put_big_endian(std::byte* to, std::uint32_t word) {
    for (int i = 0; i < 4; ++i) to[i] = static_cast<std::byte>(word >> (24 - 8 * i));
}

}  // namespace

// FIPS 180-4, 6.2.2
void Sha256::compress(const std::byte* block) {
    std::uint32_t w[64];
    for (int t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
    for (int t = 16; t < 64; ++t) {
        const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
        const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (int t = 0; t < 64; ++t) {
        const std::uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
        const std::uint32_t choice = (e & f) ^ (~e & g);
        const std::uint32_t t1 = h + sum1 + choice + constants[t] + w[t];
        const std::uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
        const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + sum0 + majority;
    }
    const std::uint32_t added[8] = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state_[i] += added[i];
}

void Sha256::update(std::span<const std::byte> bytes) {
    length_ += bytes.size();
    while (!bytes.empty()) {
        const std::size_t taken = std::min(bytes.size(), block_.size() - filled_);
        std::memcpy(block_.data() + filled_, bytes.data(), taken);
        bytes = bytes.subspan(taken);
        filled_ += taken;
        if (filled_ < block_.size()) return;
        compress(block_.data());
        filled_ = 0;
    }
}

Digest Sha256::finish() {
    // FIPS 180-4, 5.1.1: one bit, zeroes, the length in bits.
    const std::uint64_t bits = length_ * 8;
    const std::byte one{0x80}, zero{0};
    update({&one, 1});
    while (filled_ != 56) update({&zero, 1});
    std::byte length[8];
    put_big_endian(length, static_cast<std::uint32_t>(bits >> 32));
    put_big_endian(length + 4, static_cast<std::uint32_t>(bits));
    update(length);
    Digest digest;
    for (std::size_t i = 0; i < 8; ++i) put_big_endian(digest.data() + 4 * i, state_[i]);
    return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
    Sha256 hash;
    hash.update(bytes);
    return hash.finish();
}

Digest hmac_sha256(std::span<const std::byte> key, std::initializer_list<std::span<const std::byte>> parts) {
    std::array<std::byte, 64> inner{}, outer{};
    Digest hashed;
    if (key.size() > inner.size()) {
        hashed = sha256(key);
        key = hashed;
    }
    for (std::size_t i = 0; i < inner.size(); ++i) {
        const std::byte byte = i < key.size() ? key[i] : std::byte{0};
        inner[i] = byte ^ std::byte{0x36};
        outer[i] = byte ^ std::byte{0x5c};
    }
    Sha256 first;
    first.update(inner);
    for (const auto part : parts) first.update(part);
    const Digest middle = first.finish();
    Sha256 second;
    second.update(outer);
    second.update(middle);
    return second.finish();
}

bool equal_in_constant_time(const Digest& a, const Digest& b) {
    std::byte difference{0};
    for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
    // The compiler may not turn the loop into one that ends early.
    asm volatile("" : "+r"(difference));
    return difference == std::byte{0};
}

}  // namespace mp::net
