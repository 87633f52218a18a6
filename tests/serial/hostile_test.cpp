// Whatever the bytes are, the outcome is a value or SerializationError. Run under ASan and UBSan by ./dev asan.
#include <multiprocessing/serialize.hpp>

#include <bitset>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "serial/round_trip.hpp"

namespace {

using namespace mp::serial;
using mp::serial::testing::packed;

struct Plain {
    int a = 1;
    bool b = true;
    bool c[3] = {};
    double d = 2;
};
struct Record {
    std::string name;
    std::vector<Plain> plain;
    std::optional<std::string> note;
    std::variant<int, std::string, std::vector<bool>> tag;
    std::vector<Record> children;
    std::shared_ptr<std::string> shared;
};
struct Chain {
    std::vector<Chain> next;
};
struct SelfWritten {
    std::vector<int> x;
    template <class Archive>
    void serialize(Archive& ar) {
        ar(x);
    }
};

using Everything =
    std::tuple<Record, std::map<std::string, std::vector<double>>, std::set<int>, std::list<std::string>,
               std::unordered_map<int, std::unique_ptr<Plain>>, std::bitset<11>, std::vector<SelfWritten>, std::wstring,
               std::vector<std::shared_ptr<std::string>>, std::error_code, std::vector<std::monostate>>;

Everything sample() {
    Everything value;
    auto& [record, map, set, list, table, bits, written, wide, shares, error, units] = value;
    record = {"root", {Plain{}, Plain{2}}, "note", "tag", {}, std::make_shared<std::string>("s")};
    record.children.push_back({"leaf", {}, {}, std::vector<bool>{true, false}, {}, record.shared});
    map = {{"a", {1, 2}}, {"b", {}}};
    set = {1, 2, 3};
    list = {"x", "y"};
    table.emplace(1, std::make_unique<Plain>());
    table.emplace(2, nullptr);
    bits = 0x3ff;
    written = {{{1, 2}}, {{}}};
    wide = L"w";
    shares = {record.shared, std::make_shared<std::string>("t"), nullptr, record.shared};
    error = std::make_error_code(std::errc::timed_out);
    units.resize(3);
    return value;
}

/// Decodes bytes in memory of exactly their size, so that a read past the end is seen.
template <class T>
bool accepts(std::span<const std::byte> bytes) {
    const auto exact = std::make_unique<std::byte[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), exact.get());
    try {
        Reader reader({exact.get(), bytes.size()});
        static_cast<void>(decode<T>(reader));
        reader.finish();
        return true;
    } catch (const mp::SerializationError&) {
        return false;
    }
}

TEST(HostileBytes, EveryTruncationIsRefused) {
    const auto bytes = packed(sample());
    ASSERT_TRUE(accepts<Everything>(bytes));
    for (std::size_t size = 0; size != bytes.size(); ++size) {
        EXPECT_FALSE(accepts<Everything>(std::span(bytes).first(size))) << "cut to " << size;
    }
}

TEST(HostileBytes, EveryFlippedBitIsSurvived) {
    auto bytes = packed(sample());
    for (std::size_t bit = 0; bit != bytes.size() * 8; ++bit) {
        bytes[bit / 8] ^= std::byte{1} << (bit % 8);
        accepts<Everything>(bytes);
        bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    }
}

TEST(HostileBytes, RandomDamageIsSurvived) {
    const auto good = packed(sample());
    for (unsigned seed = 0; seed != 3000; ++seed) {
        std::mt19937 random(seed);
        auto bytes = good;
        for (unsigned left = 1 + random() % 8; left != 0; --left) {
            const std::size_t at = random() % bytes.size();
            if (random() % 4 == 0) {  // a huge count
                std::memset(&bytes[at], static_cast<int>(random()), std::min<std::size_t>(8, bytes.size() - at));
            } else {
                bytes[at] = static_cast<std::byte>(random());
            }
        }
        accepts<Everything>(bytes);
    }
}

TEST(HostileBytes, ABoolOtherThanFalseAndTrueIsRefused) {
    for (int value = 0; value != 256; ++value) {
        const std::byte byte{static_cast<unsigned char>(value)};
        EXPECT_EQ(accepts<bool>({&byte, 1}), value < 2);
        Plain plain;
        std::memcpy(&plain.c[2], &byte, 1);
        std::vector<std::byte> raw(sizeof plain);
        std::memcpy(raw.data(), &plain, sizeof plain);
        EXPECT_EQ(accepts<Plain>(raw), value < 2);
        EXPECT_EQ((accepts<std::array<bool, 1>>({&byte, 1})), value < 2);
        auto vector = packed(std::vector<Plain>(2));
        std::copy(raw.begin(), raw.end(), vector.end() - sizeof plain);
        EXPECT_EQ(accepts<std::vector<Plain>>(vector), value < 2);
    }
}

TEST(HostileBytes, FalseCountsAskForNoMemory) {
    const auto message = [](std::uint64_t count, std::size_t rest) {
        std::vector<std::byte> bytes(sizeof count + rest);
        std::memcpy(bytes.data(), &count, sizeof count);
        return bytes;
    };
    for (const std::uint64_t count : {1ULL << 20, 1ULL << 40, 1ULL << 61, 1ULL << 63, ~0ULL, ~0ULL - 7}) {
        const auto bytes = message(count, 100);
        EXPECT_FALSE(accepts<std::string>(bytes));
        EXPECT_FALSE(accepts<std::vector<double>>(bytes));
        EXPECT_FALSE(accepts<std::vector<bool>>(bytes));
        EXPECT_FALSE(accepts<std::vector<std::string>>(bytes));
        EXPECT_FALSE(accepts<std::vector<std::monostate>>(bytes));
        EXPECT_FALSE((accepts<std::vector<std::array<std::string, 0>>>(bytes)));
        EXPECT_FALSE((accepts<std::list<std::tuple<>>>(bytes)));
        EXPECT_FALSE((accepts<std::unordered_map<int, int>>(bytes)));
        EXPECT_FALSE(accepts<std::shared_ptr<int>>(bytes));
    }
}

TEST(HostileBytes, DeepNestingIsRefusedBeforeTheStackEnds) {
    std::vector<std::byte> bytes(8 * 100'000);
    const std::uint64_t one = 1;
    for (std::size_t at = 0; at != bytes.size(); at += 8) {
        std::memcpy(&bytes[at], &one, 8);
    }
    EXPECT_FALSE(accepts<Chain>(bytes));
    const std::uint64_t many = 50'000;  // each level claims as many children as there are bytes left
    for (std::size_t at = 0; at != bytes.size(); at += 8) {
        std::memcpy(&bytes[at], &many, 8);
    }
    EXPECT_FALSE(accepts<Chain>(bytes));
}

TEST(HostileBytes, ASharedObjectOfAnotherTypeIsRefused) {
    Writer writer;
    encode(writer, std::make_shared<std::string>("x"));
    encode(writer, std::uint64_t{1});  // refers to the string
    Reader reader(writer.bytes());
    decode<std::shared_ptr<std::string>>(reader);
    EXPECT_THROW(decode<std::shared_ptr<int>>(reader), mp::SerializationError);
}

struct SharedChain {
    std::shared_ptr<SharedChain> next;
};

TEST(HostileBytes, ASharedObjectInsideItselfIsRefused) {
    Writer writer;
    encode(writer, std::uint64_t{1});
    encode(writer, std::uint64_t{1});
    EXPECT_FALSE(accepts<std::shared_ptr<SharedChain>>(writer.bytes()));
}

}  // namespace
