#include "pool/heap.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace {

using mp::pool::Heap;

constexpr std::uint64_t begin = 4096;
constexpr std::uint64_t end = 4096 + (1 << 20);

TEST(PoolHeap, HandsOutAlignedPlacesFromTheLowestAddressOn) {
    Heap heap(begin, end);
    EXPECT_EQ(heap.allocate(1), begin);
    EXPECT_EQ(heap.allocate(129), begin + 128);
    EXPECT_EQ(heap.allocate(0), begin + 384);
}

TEST(PoolHeap, GivesOutAllThereIsAndThenNothing) {
    Heap heap(begin, end);
    const auto all = heap.allocate(end - begin);
    ASSERT_EQ(all, begin);
    EXPECT_FALSE(heap.allocate(1));
    heap.free(*all);
    EXPECT_EQ(heap.used(), 0U);
    EXPECT_EQ(heap.allocate(end - begin), begin);
}

TEST(PoolHeap, RefusesSizesThatOverflow) {
    Heap heap(begin, end);
    for (const std::uint64_t size : {~std::uint64_t(0), ~std::uint64_t(0) - 126, std::uint64_t(1) << 63, end - begin + 1})
        EXPECT_FALSE(heap.allocate(size)) << size;
    EXPECT_TRUE(heap.allocate(end - begin));
}

TEST(PoolHeap, IgnoresAPlaceThatWasNotHandedOut) {
    Heap heap(begin, end);
    const auto place = heap.allocate(1000);
    heap.free(*place + 128);
    heap.free(0);
    EXPECT_EQ(heap.used(), 1024U);
    heap.free(*place);
    heap.free(*place);
    EXPECT_EQ(heap.used(), 0U);
}

TEST(PoolHeap, TrimGivesUpOnlyWhatLiesAboveTheHighestPlaceInUse) {
    Heap heap(begin, end);
    const auto low = heap.allocate(1000), high = heap.allocate(100'000);
    EXPECT_FALSE(heap.trim(0));
    heap.free(*high);
    const auto unused = heap.trim(0);
    ASSERT_TRUE(unused);
    EXPECT_EQ(unused->first, *high);
    EXPECT_EQ(unused->second, *high + 100'096);
    EXPECT_FALSE(heap.trim(0)) << "those pages are gone already";
    heap.free(*low);
    EXPECT_FALSE(heap.trim(4096));
    EXPECT_EQ(heap.trim(0), std::pair(begin, begin + 1024));
}

// cpython: _TestHeap.test_heap
TEST(PoolHeap, NeverOverlapsAndTakesEverythingBackUnderRandomUse) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random(seed);
        Heap heap(begin, end);
        std::map<std::uint64_t, std::uint64_t> held;
        std::uint64_t used = 0;
        for (int step = 0; step < 5000; ++step) {
            if (random() % 2 || held.empty()) {
                const std::uint64_t size = random() % (random() % 4 ? 2000 : 200'000);
                const std::uint64_t room = (std::max<std::uint64_t>(size, 1) + 127) / 128 * 128;
                const auto place = heap.allocate(size);
                if (!place) continue;
                ASSERT_GE(*place, begin);
                ASSERT_LE(*place + room, end);
                ASSERT_EQ(*place % 128, 0U);
                const auto next = held.lower_bound(*place);
                ASSERT_TRUE(next == held.end() || *place + room <= next->first);
                ASSERT_TRUE(next == held.begin() || std::prev(next)->first + std::prev(next)->second <= *place);
                held.emplace(*place, room);
                used += room;
            } else {
                auto victim = std::next(held.begin(), static_cast<std::ptrdiff_t>(random() % held.size()));
                heap.free(victim->first);
                used -= victim->second;
                held.erase(victim);
            }
            if (random() % 16 == 0) {
                const auto top = held.empty() ? begin : held.rbegin()->first + held.rbegin()->second;
                if (const auto unused = heap.trim(random() % 65536)) {
                    ASSERT_GE(unused->first, top);
                    ASSERT_LT(unused->first, unused->second);
                }
            }
            ASSERT_EQ(heap.used(), used);
        }
        for (const auto& [place, size] : held) heap.free(place);
        ASSERT_EQ(heap.allocate(end - begin), begin) << "free places were not merged";
    }
}

}  // namespace
