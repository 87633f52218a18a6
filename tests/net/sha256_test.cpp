// SHA-256 and HMAC against the published vectors and against OpenSSL.
#include "net/sha256.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>
#include <string_view>
#include <vector>

namespace mp::net {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string hex(const Digest& digest) {
    std::string text;
    for (const std::byte byte : digest) {
        text += "0123456789abcdef"[std::to_integer<int>(byte >> 4)];
        text += "0123456789abcdef"[std::to_integer<int>(byte & std::byte{15})];
    }
    return text;
}

std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 251);
    return bytes;
}

// FIPS 180-4's examples, published by NIST.
TEST(Sha256, GivesThePublishedDigests) {
    EXPECT_EQ(hex(sha256(bytes_of(""))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hex(sha256(bytes_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex(sha256(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    const std::string million(1'000'000, 'a');
    EXPECT_EQ(hex(sha256(bytes_of(million))), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// RFC 4231, test cases 1, 2, 3, 6 and 7.
TEST(HmacSha256, GivesTheCodesOfRfc4231) {
    const auto code = [](std::string_view key, std::string_view data) {
        return hex(hmac_sha256(bytes_of(key), {bytes_of(data)}));
    };
    EXPECT_EQ(code(std::string(20, '\x0b'), "Hi There"),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(code("Jefe", "what do ya want for nothing?"),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(code(std::string(20, '\xaa'), std::string(50, '\xdd')),
              "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    EXPECT_EQ(code(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    EXPECT_EQ(code(std::string(131, '\xaa'),
                   "This is a test using a larger than block-size key and a larger than block-size data. The key needs "
                   "to be hashed before being used by the HMAC algorithm."),
              "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(Sha256, AgreesWithOpenSslForEveryLengthAroundABlock) {
    for (std::size_t size = 0; size <= 300; ++size) {
        const auto bytes = pattern(size);
        Digest theirs;
        unsigned length = 0;
        ASSERT_EQ(::EVP_Digest(bytes.data(), size, reinterpret_cast<unsigned char*>(theirs.data()), &length,
                               ::EVP_sha256(), nullptr),
                  1);
        EXPECT_EQ(hex(sha256(bytes)), hex(theirs)) << size;
        // In two pieces, cut everywhere.
        Sha256 hash;
        hash.update(std::span(bytes).first(size / 3));
        hash.update(std::span(bytes).subspan(size / 3));
        EXPECT_EQ(hex(hash.finish()), hex(theirs)) << size;
    }
}

TEST(HmacSha256, AgreesWithOpenSslForKeysOfEveryLength) {
    const auto data = pattern(200);
    for (std::size_t size = 0; size <= 130; ++size) {
        const auto key = pattern(size);
        Digest theirs;
        unsigned length = 0;
        const unsigned char none = 0;
        ::HMAC(::EVP_sha256(), size ? static_cast<const void*>(key.data()) : &none, static_cast<int>(size),
               reinterpret_cast<const unsigned char*>(data.data()), data.size(),
               reinterpret_cast<unsigned char*>(theirs.data()), &length);
        EXPECT_EQ(hex(hmac_sha256(key, {std::span(data).first(77), std::span(data).subspan(77)})), hex(theirs)) << size;
    }
}

TEST(Sha256, ComparesEveryByte) {
    const Digest digest = sha256(bytes_of("x"));
    EXPECT_TRUE(equal_in_constant_time(digest, digest));
    for (std::size_t i = 0; i < digest.size(); ++i) {
        Digest other = digest;
        other[i] ^= std::byte{1};
        EXPECT_FALSE(equal_in_constant_time(digest, other)) << i;
    }
}

}  // namespace
}  // namespace mp::net
