#include "primes/plan.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace {

using primes::Block;
using primes::even_part;
using primes::Job;
using primes::Method;
using primes::Plan;

constexpr auto highest = std::numeric_limits<std::uint64_t>::max();

/// All blocks, checked to follow each other without a gap and to stay within one part of the chart.
std::vector<Block> blocks_of(const Job& job) {
    std::vector<Block> blocks;
    Plan plan(job);
    std::uint64_t next = job.start;
    while (const auto block = plan.next()) {
        EXPECT_EQ(block->first, next);
        EXPECT_LE(block->first, block->last);
        const auto part = even_part(job.start, job.end, job.parts, block->part);
        EXPECT_TRUE(part && part->first <= block->first && block->last <= part->last);
        next = block->last + 1;
        blocks.push_back(*block);
        if (blocks.size() > 100'000) break;
    }
    EXPECT_EQ(next, job.end + 1);
    EXPECT_EQ(plan.next(), std::nullopt);
    return blocks;
}

TEST(EvenPart, MakesTheFirstPartsOneLonger) {
    EXPECT_EQ(even_part(1, 10, 4, 0), (Block{1, 3, 0}));
    EXPECT_EQ(even_part(1, 10, 4, 1), (Block{4, 6, 1}));
    EXPECT_EQ(even_part(1, 10, 4, 2), (Block{7, 8, 2}));
    EXPECT_EQ(even_part(1, 10, 4, 3), (Block{9, 10, 3}));
    EXPECT_EQ(even_part(1, 80000, 20, 19), (Block{76001, 80000, 19}));
}

TEST(EvenPart, IsNothingBeyondTheNumbers) {
    EXPECT_EQ(even_part(5, 6, 3, 1), (Block{6, 6, 1}));
    EXPECT_EQ(even_part(5, 6, 3, 2), std::nullopt);
}

TEST(EvenPart, CutsTheWholeOf64Bits) {
    EXPECT_EQ(even_part(0, highest, 1, 0), (Block{0, highest, 0}));
    EXPECT_EQ(even_part(0, highest, 2, 1), (Block{highest / 2 + 1, highest, 1}));
    EXPECT_EQ(even_part(0, highest, 3, 2)->last, highest);
}

TEST(Plan, OfTheTutorialsRangeHasFewBlocksThatBecomeSmaller) {
    const Job job{.start = 1, .end = 80000, .workers = 2};
    const auto blocks = blocks_of(job);
    EXPECT_GT(blocks.size(), 32u);
    EXPECT_LT(blocks.size(), 300u);
    const auto cost = [&](const Block& block) { return primes::cost_of(job.method, block.first, block.last); };
    const double all = primes::cost_of(job.method, job.start, job.end);
    for (std::size_t i = 0; i + 1 < blocks.size(); ++i) {
        EXPECT_LT(cost(blocks[i]), all / 16) << blocks[i].first;
        // One number more or less makes a difference where blocks are small.
        EXPECT_LT(cost(blocks[i + 1]), 1.1 * cost(blocks[i]) + 80000) << blocks[i].first;
    }
    EXPECT_LT(cost(blocks.back()), all / 500);
}

TEST(Plan, CoversShortRangesWithBlocksForEveryWorker) {
    EXPECT_EQ(blocks_of({.start = 7, .end = 7, .workers = 4}).size(), 1u);
    EXPECT_EQ(blocks_of({.start = 0, .end = 0}).size(), 1u);
    EXPECT_GE(blocks_of({.start = 1, .end = 2000, .workers = 4}).size(), 16u);
    EXPECT_GE(blocks_of({.start = 0, .end = 100'000'000, .method = Method::sieve, .workers = 4}).size(), 4u);
}

TEST(Plan, KeepsPartsOfTheChartApart) {
    blocks_of({.start = 1, .end = 80000, .workers = 2, .parts = 20});
    blocks_of({.start = 3, .end = 1003, .workers = 2, .parts = 7});
    blocks_of({.start = 3, .end = 9, .workers = 2, .parts = 7});
    EXPECT_EQ(blocks_of({.start = 1, .end = 1000, .method = Method::sieve, .parts = 10}).size(), 10u);
    blocks_of({.start = highest - 1000, .end = highest, .method = Method::sieve, .parts = 10});
}

TEST(Plan, ReachesTheHighestNumberAndStops) {
    blocks_of({.start = highest - 3, .end = highest, .workers = 2});
    blocks_of({.start = highest, .end = highest, .method = Method::sieve});
}

TEST(Plan, OfTheWholeOf64BitsStartsAtOnce) {
    for (const Method method : {Method::trial, Method::sieve}) {
        Plan plan({.start = 0, .end = highest, .method = method, .workers = 8, .parts = 3});
        const auto first = plan.next();
        ASSERT_TRUE(first);
        EXPECT_EQ(first->first, 0u);
        EXPECT_LT(first->last, highest / 1000);
        EXPECT_EQ(plan.next()->first, first->last + 1);
    }
}

TEST(Plan, OfAPieceKnowsWhereInTheChartItLies) {
    const Job job{.start = 1, .end = 100, .workers = 2, .parts = 4};
    Plan plan(job, 60, 80);
    const auto block = plan.next();
    ASSERT_TRUE(block);
    EXPECT_EQ(block->first, 60u);
    EXPECT_EQ(block->part, 2u);
    Plan nothing(job, 10, 9);
    EXPECT_EQ(nothing.next(), std::nullopt);
}

TEST(SieveBlocks, AreWiderWhereTheSieveNeedsMorePrimes) {
    Plan low({.start = 0, .end = 10'000'000'000, .method = Method::sieve, .workers = 2});
    Plan high({.start = highest - 100'000'000'000, .end = highest, .method = Method::sieve, .workers = 2});
    const auto width = [](const Block& block) { return block.last - block.first + 1; };
    EXPECT_GE(width(*low.next()), 10'000'000u);
    EXPECT_LE(width(*low.next()), 1'000'000'000u);
    EXPECT_GE(width(*high.next()), 4'000'000'000u);
}

TEST(Cost, GrowsWithTheValueForTrialDivisionOnly) {
    EXPECT_GT(primes::cost_of(Method::trial, 70000, 80000), 3 * primes::cost_of(Method::trial, 10000, 20000));
    EXPECT_EQ(primes::cost_of(Method::sieve, 70001, 80000), primes::cost_of(Method::sieve, 10001, 20000));
    EXPECT_EQ(primes::cost_of(Method::trial, 5, 4), 0);
}

}  // namespace
