#include <multiprocessing/range.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace {

static_assert(std::ranges::random_access_range<mp::Range<int>>);
static_assert(std::ranges::random_access_range<mp::Range<std::uint64_t>>);
static_assert(std::ranges::sized_range<mp::Range<int>>);
static_assert(std::ranges::borrowed_range<mp::Range<int>>);
static_assert(std::ranges::common_range<mp::Range<int>>);
static_assert(std::ranges::view<mp::Range<std::int8_t>>);
static_assert(std::sized_sentinel_for<mp::Range<int>::Iterator, mp::Range<int>::Iterator>);
static_assert(std::is_trivially_copyable_v<mp::Range<long>>);
static_assert(sizeof(mp::Range<long>) == 2 * sizeof(long));
static_assert(std::same_as<decltype(mp::range(1, 80001)), mp::Range<int>>);
static_assert(std::same_as<decltype(mp::range(0, std::size_t{3})), mp::Range<std::uint64_t>>);
static_assert(std::same_as<decltype(mp::range(0, 3u)), mp::Range<std::int64_t>>);
static_assert(mp::range(3, 7).size() == 4);

template <class R>
std::vector<std::ranges::range_value_t<R>> list(const R& r) {
    return {r.begin(), r.end()};
}

constexpr auto max64 = std::numeric_limits<std::uint64_t>::max();

TEST(Range, HoldsItsFirstBoundAndNotItsLast) { EXPECT_EQ(list(mp::range(3, 7)), (std::vector{3, 4, 5, 6})); }

TEST(Range, OfOneNumberStartsAtZero) { EXPECT_EQ(list(mp::range(3)), (std::vector{0, 1, 2})); }

TEST(Range, WithBoundsTheWrongWayRoundIsEmpty) {
    EXPECT_TRUE(mp::range(5, 1).empty());
    EXPECT_EQ(mp::range(5, 1).size(), 0u);
    EXPECT_TRUE(mp::range(-3).empty());
    EXPECT_EQ(mp::range(5, 1).begin(), mp::range(5, 1).end());
    EXPECT_TRUE(mp::Range<int>().empty());
}

TEST(Range, KnowsItsSizeUpToTheFullWidthOf64Bits) {
    EXPECT_EQ(mp::range(max64).size(), max64);
    EXPECT_EQ(mp::range(max64)[max64 - 1], max64 - 1);
    using Limits = std::numeric_limits<std::int64_t>;
    EXPECT_EQ(mp::range(Limits::min(), Limits::max()).size(), max64);
    EXPECT_EQ(mp::range(std::int8_t{-128}, std::int8_t{127}).size(), 255u);
    EXPECT_EQ(mp::range(-2, 3)[4], 2);
}

TEST(Range, CountsUpToTheHighestValues) {
    EXPECT_EQ(list(mp::range(max64 - 2, max64)), (std::vector{max64 - 2, max64 - 1}));
    EXPECT_EQ(list(mp::range(std::int8_t{125}, std::int8_t{127})), (std::vector<std::int8_t>{125, 126}));
}

TEST(Range, OfMixedBoundsHoldsBoth) {
    EXPECT_EQ(list(mp::range(-1, 2u)), (std::vector<std::int64_t>{-1, 0, 1}));
    EXPECT_EQ(mp::range(0, max64).size(), max64);
    EXPECT_THROW(mp::range(-1, std::size_t{2}), std::invalid_argument);
}

TEST(Range, WorksWithAlgorithmsOldAndNew) {
    const auto r = mp::range(1, 101);
    EXPECT_EQ(std::accumulate(r.begin(), r.end(), 0), 5050);
    EXPECT_EQ(*std::ranges::lower_bound(r, 42), 42);
    EXPECT_EQ(*std::lower_bound(r.begin(), r.end(), 42), 42);
    EXPECT_EQ(r.front(), 1);
    EXPECT_EQ(r.back(), 100);
    EXPECT_EQ(r.end() - r.begin(), 100);
    EXPECT_EQ(list(mp::range(4) | std::views::reverse), (std::vector{3, 2, 1, 0}));
    auto i = r.begin() + 5;
    EXPECT_EQ(*i++, 6);
    EXPECT_EQ(*i--, 7);
    EXPECT_EQ(i[2], 8);
    EXPECT_EQ(*(2 + i - 1), 7);
}

TEST(Range, IsEmptyWhenHostileBytesTurnItsBoundsRound) {
    mp::Range<int> r;
    const auto archive = [](int& first, int& last) { first = 9, last = 3; };
    r.serialize(archive);
    EXPECT_TRUE(r.empty());
}

TEST(Subrange, IsCutToWhatThereIs) {
    EXPECT_EQ(mp::range(10).subrange(8, 5), mp::range(8, 10));
    EXPECT_TRUE(mp::range(10).subrange(20, 5).empty());
    EXPECT_EQ(mp::range(max64).subrange(1, max64), mp::range(std::uint64_t{1}, max64));
}

std::vector<std::uint64_t> sizes(const auto& parts) {
    std::vector<std::uint64_t> result;
    for (const auto& part : parts) result.push_back(std::ranges::size(part));
    return result;
}

TEST(Split, GivesRangesForARange) {
    static_assert(std::same_as<decltype(mp::split(mp::range(1, 9), 2)), std::vector<mp::Range<int>>>);
    const auto parts = mp::split(mp::range(1, 80001), 4);
    ASSERT_EQ(parts.size(), 4u);
    EXPECT_EQ(parts[0], mp::range(1, 20001));
    EXPECT_EQ(parts[1], mp::range(20001, 40001));
    EXPECT_EQ(parts[2], mp::range(40001, 60001));
    EXPECT_EQ(parts[3], mp::range(60001, 80001));
}

TEST(Split, OfEightyThousandInTwentyPartsGivesFourThousandEach) {
    const auto parts = mp::split(mp::range(1, 80001), 20);
    ASSERT_EQ(parts.size(), 20u);
    for (std::size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(parts[i].front(), static_cast<int>(4000 * i + 1));
        EXPECT_EQ(parts[i].back(), static_cast<int>(4000 * i + 4000));
    }
}

TEST(Split, MakesTheFirstPartsOneLonger) {
    EXPECT_EQ(sizes(mp::split(mp::range(10), 4)), (std::vector<std::uint64_t>{3, 3, 2, 2}));
    EXPECT_EQ(sizes(mp::split(mp::range(9), 3)), (std::vector<std::uint64_t>{3, 3, 3}));
}

TEST(Split, IntoMorePartsThanElementsLeavesTheLastOnesEmpty) {
    EXPECT_EQ(sizes(mp::split(mp::range(2), 4)), (std::vector<std::uint64_t>{1, 1, 0, 0}));
    EXPECT_EQ(sizes(mp::split(mp::range(0), 2)), (std::vector<std::uint64_t>{0, 0}));
}

TEST(Split, IntoFewerThanOnePartIsAnError) {
    EXPECT_THROW(mp::split(mp::range(5), 0), std::invalid_argument);
    EXPECT_THROW(mp::split(mp::range(5), -1), std::invalid_argument);
    EXPECT_THROW(mp::split(mp::range(5), 0u), std::invalid_argument);
}

TEST(Split, OfTheFullWidthLosesNothing) {
    const auto parts = mp::split(mp::range(max64), 7);
    std::uint64_t next = 0;
    for (const auto& part : parts) {
        EXPECT_EQ(part.front(), next);
        next = part.back() + 1;
    }
    EXPECT_EQ(next, max64);
}

TEST(Split, OfAVectorPointsIntoIt) {
    std::vector<int> values{1, 2, 3, 4, 5};
    const auto parts = mp::split(values, 2);
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_TRUE(std::ranges::equal(parts[0], std::vector{1, 2, 3}));
    EXPECT_TRUE(std::ranges::equal(parts[1], std::vector{4, 5}));
    parts[1].front() = 40;
    EXPECT_EQ(values[3], 40);
}

TEST(Split, OfATemporaryVectorIsRefused) {
    const auto splits = []<class V>(V&&) { return requires { mp::split(std::declval<V>(), 2); }; };
    std::vector<int> values;
    EXPECT_TRUE(splits(values));
    EXPECT_FALSE(splits(std::vector<int>()));
}

}  // namespace
