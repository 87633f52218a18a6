#include <multiprocessing/serialize.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serial/round_trip.hpp"

namespace {

using namespace mp::serial;
using mp::serial::testing::packed;
using mp::serial::testing::round_trip;

struct Empty {
    bool operator==(const Empty&) const = default;
};
struct Point {
    double x = 0, y = 0;
    bool operator==(const Point&) const = default;
};
struct Shape {
    std::string name;
    std::vector<Point> outline;
    Empty nothing;
    std::array<int, 2> pair{};
    std::optional<Point> centre;
    std::variant<int, std::string> tag;
    bool operator==(const Shape&) const = default;
};
struct WithArrays {
    std::string name;
    int numbers[4] = {};
    std::string words[2][2];
    Point points[2];
    char last = 0;
    bool operator==(const WithArrays&) const = default;
};

TEST(Aggregates, ArriveAsSent) {
    const Shape shape{"square", {{0, 0}, {1, 1}}, {}, {1, 2}, Point{0.5, 0.5}, "tag"};
    EXPECT_EQ(round_trip(shape), shape);
    EXPECT_EQ(round_trip(std::vector<Shape>(3, shape)), std::vector<Shape>(3, shape));
    EXPECT_EQ(round_trip(Empty{}), Empty{});
    EXPECT_EQ(round_trip(std::vector<Empty>(5)).size(), 5U);
}

TEST(Aggregates, WithArraysInsideArriveAsSent) {
    const WithArrays value{"n", {1, 2, 3, 4}, {{"a", "b"}, {"c", "d"}}, {{1, 2}, {3, 4}}, 'z'};
    EXPECT_EQ(round_trip(value), value);
    const int plain[3] = {1, 2, 3};
    EXPECT_EQ(packed(plain).size(), sizeof plain);
}

struct LongName {
    char text[4096] = {};
    std::string more;
};

TEST(Aggregates, ALongArrayInsideIsOneMember) {
    LongName value{"text", "more"};
    EXPECT_EQ(round_trip(value).more, "more");
    EXPECT_STREQ(round_trip(value).text, "text");
}

struct SixtyFour {
    int a01 = 1, a02 = 2, a03 = 3, a04 = 4, a05 = 5, a06 = 6, a07 = 7, a08 = 8, a09 = 9, a10 = 10, a11 = 11, a12 = 12,
        a13 = 13, a14 = 14, a15 = 15, a16 = 16, a17 = 17, a18 = 18, a19 = 19, a20 = 20, a21 = 21, a22 = 22, a23 = 23,
        a24 = 24, a25 = 25, a26 = 26, a27 = 27, a28 = 28, a29 = 29, a30 = 30, a31 = 31, a32 = 32, a33 = 33, a34 = 34,
        a35 = 35, a36 = 36, a37 = 37, a38 = 38, a39 = 39, a40 = 40, a41 = 41, a42 = 42, a43 = 43, a44 = 44, a45 = 45,
        a46 = 46, a47 = 47, a48 = 48, a49 = 49, a50 = 50, a51 = 51, a52 = 52, a53 = 53, a54 = 54, a55 = 55, a56 = 56,
        a57 = 57, a58 = 58, a59 = 59, a60 = 60, a61 = 61, a62 = 62, a63 = 63;
    std::string a64 = "last";
    bool operator==(const SixtyFour&) const = default;
};

TEST(Aggregates, MayHaveSixtyFourMembers) {
    SixtyFour value;
    value.a01 = -1;
    value.a64 = "end";
    EXPECT_EQ(round_trip(value), value);
}

class NoDefault {
  public:
    explicit NoDefault(int x) : x_(x) {}
    int x() const { return x_; }

  private:
    int x_;
};
}  // namespace

template <>
struct mp::serial::codec<NoDefault> {
    static void encode(Writer& writer, const NoDefault& value) { mp::serial::encode(writer, value.x()); }
    static NoDefault decode(Reader& reader) { return NoDefault(mp::serial::decode<int>(reader)); }
};

namespace {

struct HoldsNoDefault {
    NoDefault a;
    std::string b;
    std::unique_ptr<int> c;
};

TEST(Aggregates, NeedNoDefaultConstructor) {
    const HoldsNoDefault arrived = round_trip(HoldsNoDefault{NoDefault(3), "b", std::make_unique<int>(4)});
    EXPECT_EQ(arrived.a.x(), 3);
    EXPECT_EQ(arrived.b, "b");
    EXPECT_EQ(*arrived.c, 4);
    EXPECT_EQ(round_trip(std::vector{NoDefault(1), NoDefault(2)})[1].x(), 2);
    EXPECT_EQ(round_trip(std::optional(NoDefault(5)))->x(), 5);
    EXPECT_EQ((round_trip(std::array{NoDefault(1), NoDefault(2)})[1].x()), 2);
}

struct Tree {
    int value = 0;
    std::vector<Tree> children;
    std::unique_ptr<Tree> next;
};

TEST(Aggregates, MayContainThemselves) {
    Tree tree{1, {}, nullptr};
    tree.children.push_back({2, {}, std::make_unique<Tree>(Tree{3, {}, nullptr})});
    EXPECT_EQ(round_trip(tree).children[0].next->value, 3);
}

struct Flags {
    bool a : 1;
    unsigned b : 3;
    int c : 20;
};

TEST(Aggregates, MayHaveBitFields) {
    const Flags arrived = round_trip(Flags{true, 5, -7});
    EXPECT_TRUE(arrived.a);
    EXPECT_EQ(arrived.b, 5U);
    EXPECT_EQ(arrived.c, -7);
}

class Cereal {
  public:
    Cereal() = default;
    Cereal(int a, std::string b) : a_(a), b_(std::move(b)) {}
    template <class Archive>
    void serialize(Archive& ar) {
        ar(a_, b_);
        ar & c_;
    }
    bool operator==(const Cereal&) const = default;

  private:
    int a_ = 0;
    std::string b_;
    int c_[2] = {7, 8};
};

class Hidden {
  public:
    static Hidden make(int x) {
        Hidden hidden;
        hidden.x_ = x;
        return hidden;
    }
    int x() const { return x_; }

  private:
    friend mp::serial::access;
    Hidden() = default;
    template <class Archive>
    void serialize(Archive& ar) {
        ar(x_);
    }
    int x_ = 0;
};

class SaveLoad {
  public:
    int x = 0;
    template <class Archive>
    void save(Archive& ar) const {
        ar(x, x + 1);
    }
    template <class Archive>
    void load(Archive& ar) {
        int next = 0;
        ar(x, next);
        if (next != x + 1) {
            throw std::runtime_error("torn");
        }
    }
};

TEST(UserClasses, WithASerializeMemberArriveAsSent) {
    const Cereal value(3, "x");
    EXPECT_EQ(round_trip(value), value);
    EXPECT_EQ(round_trip(std::vector(2, value)), std::vector(2, value));
    EXPECT_EQ(round_trip(Hidden::make(4)).x(), 4);
    EXPECT_EQ(round_trip(std::vector{Hidden::make(4)})[0].x(), 4);
    EXPECT_EQ(round_trip(SaveLoad{5}).x, 5);
}

struct Derived : Point {
    std::string name;
    template <class Archive>
    void serialize(Archive& ar) {
        ar(static_cast<Point&>(*this), name);
    }
};

TEST(UserClasses, ABaseClassCanBeHandedToTheArchive) {
    Derived value;
    value.x = 2;
    value.name = "n";
    EXPECT_EQ(round_trip(value).x, 2);
    EXPECT_EQ(round_trip(value).name, "n");
}

}  // namespace

namespace elsewhere {
struct Free {
    int x = 0;
    int not_sent = 1;
};
template <class Archive>
void serialize(Archive& ar, Free& value) {
    ar(value.x);
}
struct Split {
    int x = 0;
};
template <class Archive>
void save(Archive& ar, const Split& value) {
    ar(-value.x);
}
template <class Archive>
void load(Archive& ar, Split& value) {
    ar(value.x);
}
}  // namespace elsewhere

namespace {

TEST(UserClasses, FreeFunctionsAreFoundBesideTheClass) {
    const auto arrived = round_trip(elsewhere::Free{5, 6});
    EXPECT_EQ(arrived.x, 5);
    EXPECT_EQ(arrived.not_sent, 1);
    EXPECT_EQ(round_trip(elsewhere::Split{5}).x, -5);
}

TEST(UserClasses, TheirOwnWayIsTakenInsideContainersToo) {
    EXPECT_EQ(round_trip(std::vector<elsewhere::Free>{{5, 6}})[0].not_sent, 1);
    struct Outer {
        elsewhere::Free inner;
    };
    EXPECT_EQ(round_trip(std::vector<Outer>{{{5, 6}}})[0].inner.not_sent, 1);
}

class Money {
  public:
    constexpr explicit Money(long cents) : cents_(cents) {}
    long cents() const { return cents_; }

  private:
    long cents_;
};

TEST(UserClasses, APlainClassOfBytesNeedsNothing) {
    EXPECT_EQ(round_trip(Money(5)).cents(), 5);
    EXPECT_EQ(round_trip(std::vector{Money(5), Money(6)})[1].cents(), 6);
    int k = 3;
    const auto closure = [k](int x) { return k * x; };
    EXPECT_EQ(round_trip(closure)(2), 6);
}

struct Pointer {
    int x;
    int* p;
};
struct HasCodec {
    NoDefault inner;
};
union Either {
    int i;
    float f;
};
struct HasEither {
    Either either;
};
class Pin {
  public:
    constexpr explicit Pin(int* p) : p_(p) {}
    int* get() const { return p_; }

  private:
    int* p_;
};

TEST(Bytewise, HoldsForPlainBytesOnly) {
    static_assert(bytewise<int> && bytewise<bool> && bytewise<Point> && bytewise<Flags> && bytewise<int[2][3]>);
    static_assert(bytewise<std::array<Point, 4>> && bytewise<Empty> && bytewise<Money> && bytewise<long double>);
    static_assert(!bytewise<int*> && !bytewise<Pointer> && !bytewise<HasEither> && !bytewise<Pin> && !bytewise<Tree>);
    static_assert(!bytewise<HasCodec> && !bytewise<elsewhere::Free> && !bytewise<std::string> && !bytewise<int&>);
    static_assert(!bytewise<std::string_view> && !bytewise<std::optional<int>> && !bytewise<Handle>);
    static_assert(bytewise<std::chrono::nanoseconds> && bytewise<std::complex<double>>);
}

TEST(Serializable, KnowsWhatCannotBeSent) {
    static_assert(serializable<Shape> && serializable<Tree> && serializable<const int>);
    static_assert(!serializable<int*> && !serializable<Pointer> && !serializable<std::vector<Pointer>>);
    static_assert(!serializable<int&> && !serializable<std::string_view> && !serializable<HasEither>);
    static_assert(!serializable<std::unique_ptr<int[]>> && !serializable<void*> && serializable<void (*)()>);
}

}  // namespace
