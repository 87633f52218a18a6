#include <multiprocessing/serialize.hpp>

#include <unistd.h>

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serial/round_trip.hpp"

namespace {

using namespace mp::serial;
using mp::serial::testing::packed;
using mp::serial::testing::round_trip;

template <class T>
void expect_same(const T& value) {
    EXPECT_TRUE(round_trip(value) == value);  // not EXPECT_EQ: Debian's gtest cannot print a std::u8string
}

enum class Colour : unsigned char { red, green = 200 };
enum Old { small = 1, large = 1000 };

TEST(StdTypes, ArithmeticTypesAndEnumsArriveAsSent) {
    expect_same('x');
    expect_same(true);
    expect_same(false);
    expect_same(std::numeric_limits<long long>::min());
    expect_same(std::numeric_limits<unsigned long>::max());
    expect_same(1.5F);
    expect_same(-0.25);
    expect_same(std::numeric_limits<long double>::max());
    expect_same(std::byte{0xff});
    expect_same(u8'a');
    expect_same(L'\u00e4');
    expect_same(Colour::green);
    expect_same(large);
}

TEST(StdTypes, StringsArriveAsSent) {
    expect_same(std::string());
    expect_same(std::string("with \0 inside", 13));
    expect_same(std::string(100'000, 'x'));
    expect_same(std::wstring(L"wide"));
    expect_same(std::u8string(u8"\u00e4"));
    expect_same(std::u16string(u"sixteen"));
    expect_same(std::u32string(U"thirty-two"));
}

TEST(StdTypes, SequencesArriveAsSent) {
    expect_same(std::vector<double>{});
    expect_same(std::vector<double>{1, 2.5, -3});
    expect_same(std::vector<std::string>{"a", "", "ccc"});
    expect_same(std::vector<std::vector<std::vector<int>>>{{{1}, {}}, {}, {{2, 3}}});
    expect_same(std::deque<int>{1, 2, 3});
    expect_same(std::list<std::string>{"x", "y"});
    expect_same(std::forward_list<int>{3, 2, 1});
    expect_same(std::array<int, 3>{1, 2, 3});
    expect_same(std::array<std::string, 2>{"a", "b"});
    expect_same(std::array<std::string, 0>{});
    expect_same(std::vector<std::array<std::string, 0>>(7));  // elements without bytes of their own
    expect_same(std::bitset<13>(0x1555));
    for (std::size_t size : {0, 1, 7, 8, 9, 64, 65}) {
        std::vector<bool> bits(size);
        for (std::size_t i = 0; i < size; i += 3) {
            bits[i] = true;
        }
        expect_same(bits);
    }
    const std::valarray<double> array = round_trip(std::valarray<double>{1, 2, 3});
    EXPECT_THAT(std::vector(std::begin(array), std::end(array)), ::testing::ElementsAre(1, 2, 3));
}

TEST(StdTypes, SetsAndMapsArriveAsSent) {
    expect_same(std::set<int>{3, 1, 2});
    expect_same(std::set<std::string, std::greater<>>{"a", "b"});
    expect_same(std::multiset<int>{1, 1, 2});
    expect_same(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
    expect_same(std::multimap<int, std::string>{{1, "x"}, {1, "y"}, {0, "z"}});
    expect_same(std::unordered_set<int>{1, 2, 3});
    expect_same(std::unordered_multiset<int>{1, 1, 2, 3});
    expect_same(std::unordered_map<std::string, int>{{"a", 1}, {"b", 2}});
    expect_same(std::unordered_multimap<int, int>{{1, 1}, {1, 2}});
}

TEST(StdTypes, FixedCollectionsArriveAsSent) {
    expect_same(std::pair<int, std::string>{1, "x"});
    expect_same(std::tuple<>{});
    expect_same(std::tuple<int, std::string, std::vector<int>>{1, "x", {2}});
    expect_same(std::optional<int>{});
    expect_same(std::optional<std::string>{"x"});
    expect_same(std::optional<std::optional<int>>{std::optional<int>{}});
    expect_same(std::variant<int, std::string>{"x"});
    expect_same(std::variant<std::monostate, int>{});
    expect_same(std::variant<int, int>{std::in_place_index<1>, 5});
    expect_same(std::monostate{});
    expect_same(std::complex<double>{1, -2});
    expect_same(std::filesystem::path("/tmp/\xff"));
    expect_same(std::chrono::milliseconds(-5));
    expect_same(std::chrono::duration<double>(1.5));
    expect_same(std::chrono::system_clock::now());
    expect_same(std::chrono::steady_clock::now());
    expect_same(std::make_error_code(std::errc::timed_out));
    expect_same(std::error_code(5, std::system_category()));
}

TEST(StdTypes, MoveOnlyTypesArrive) {
    std::vector<std::unique_ptr<std::string>> pointers;
    pointers.push_back(std::make_unique<std::string>("x"));
    pointers.push_back(nullptr);
    const auto arrived = round_trip(pointers);
    ASSERT_EQ(arrived.size(), 2U);
    EXPECT_EQ(*arrived[0], "x");
    EXPECT_EQ(arrived[1], nullptr);
    std::map<int, std::unique_ptr<int>> map;
    map[1] = std::make_unique<int>(2);
    EXPECT_EQ(*round_trip(map).at(1), 2);
    EXPECT_EQ(*std::get<0>(round_trip(std::tuple<std::unique_ptr<int>>(std::make_unique<int>(3)))), 3);
}

TEST(StdTypes, APlainVectorGoesAsOneBlock) {
    EXPECT_EQ(packed(std::vector<double>(1000)).size(), 8 + 8000U);
    EXPECT_EQ(packed(std::vector<bool>(80)).size(), 8 + 10U);
}

TEST(StdTypes, AnUnalignedMessageIsRead) {
    Writer writer;
    encode(writer, 'x');
    encode(writer, std::vector<double>{1, 2, 3});
    Reader reader(writer.bytes());
    EXPECT_EQ(decode<char>(reader), 'x');
    EXPECT_THAT(decode<std::vector<double>>(reader), ::testing::ElementsAre(1, 2, 3));
}

TEST(SharedPointers, StaySharedWithinAMessage) {
    const auto shared = std::make_shared<std::string>("x");
    using Message = std::vector<std::shared_ptr<std::string>>;
    const auto arrived = round_trip(Message{shared, nullptr, shared, std::make_shared<std::string>("x")});
    EXPECT_EQ(*arrived[0], "x");
    EXPECT_EQ(arrived[0], arrived[2]);
    EXPECT_NE(arrived[0], arrived[3]);
    EXPECT_EQ(arrived[1], nullptr);
    EXPECT_EQ(arrived[0].use_count(), 2);
}

TEST(SharedPointers, ToConstAndWeakOnesReferToTheSameObject) {
    const auto shared = std::make_shared<int>(1);
    using Message = std::tuple<std::shared_ptr<int>, std::shared_ptr<const int>, std::weak_ptr<int>>;
    const auto [a, b, c] = round_trip(Message{shared, shared, shared});
    EXPECT_EQ(a, b);
    EXPECT_EQ(a, c.lock());
}

struct Link {
    std::shared_ptr<Link> next;
};

TEST(SharedPointers, ACycleIsRefused) {
    auto link = std::make_shared<Link>();
    link->next = link;
    Writer writer;
    EXPECT_THROW(encode(writer, link), mp::SerializationError);
    link->next.reset();
    writer.clear();
    encode(writer, link);
    Reader reader(writer.bytes());
    EXPECT_EQ(decode<std::shared_ptr<Link>>(reader)->next, nullptr);
}

TEST(SharedPointers, AChainTooDeepIsRefusedByTheSender) {
    auto chain = std::make_shared<Link>();
    for (int i = 0; i < 100'000; ++i) {
        chain = std::make_shared<Link>(Link{chain});
    }
    Writer writer;
    EXPECT_THROW(encode(writer, chain), mp::SerializationError);
    while (chain) {  // not recursively
        chain = std::exchange(chain->next, nullptr);
    }
}

TEST(Handles, TravelBesideTheBytes) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    {
        const Handle out(ends[1]);
        const Handle in(ends[0]);
        const auto arrived = round_trip(std::vector<Handle>{in, Handle(), out});
        EXPECT_EQ(arrived[1].fd(), -1);
        ASSERT_EQ(::write(arrived[2].fd(), "x", 1), 1);
        char c = 0;
        ASSERT_EQ(::read(arrived[0].fd(), &c, 1), 1);
        const Handle copy = Handle::duplicate(in.fd());
        EXPECT_NE(copy.fd(), in.fd());
    }
    EXPECT_EQ(::write(ends[1], "x", 1), -1);  // closed with the last copy
    EXPECT_THROW(Handle::duplicate(-1), mp::SystemError);
}

TEST(Handles, AMissingOrLeftOverOneIsAnError) {
    Writer writer;
    encode(writer, Handle(::dup(1)));
    Reader without(writer.bytes());
    EXPECT_THROW(decode<Handle>(without), mp::SerializationError);
    Reader left_over({}, writer.handles());
    EXPECT_THROW(left_over.finish(), mp::SerializationError);
}

TEST(WriterMemory, SmallMessagesStayInTheScratchMemory) {
    std::byte scratch[64];
    Writer writer(scratch);
    encode(writer, std::string("short"));
    EXPECT_EQ(writer.bytes().data(), scratch);
    encode(writer, std::string(100, 'x'));
    EXPECT_NE(writer.bytes().data(), scratch);
    Reader reader(writer.bytes());
    EXPECT_EQ(decode<std::string>(reader), "short");
    EXPECT_EQ(decode<std::string>(reader), std::string(100, 'x'));
    const std::byte* heap = writer.bytes().data();
    writer.clear();
    EXPECT_TRUE(writer.bytes().empty());
    encode(writer, 1);
    EXPECT_EQ(writer.bytes().data(), heap);
}

TEST(WriterMemory, AnAbsurdSizeIsBadAlloc) {
    Writer writer;
    encode(writer, 1);
    EXPECT_THROW(writer.extend(~std::size_t{0}), std::bad_alloc);
    EXPECT_EQ(writer.bytes().size(), sizeof(int));
}

TEST(ReaderEnd, FinishRefusesLeftOverBytes) {
    const auto bytes = packed(std::pair{1, 2});
    Reader reader(bytes);
    decode<int>(reader);
    EXPECT_EQ(reader.remaining(), sizeof(int));
    EXPECT_THROW(reader.finish(), mp::SerializationError);
    decode<int>(reader);
    EXPECT_NO_THROW(reader.finish());
}

}  // namespace
