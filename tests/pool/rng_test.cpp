// The generator behind task_rng.
#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include <multiprocessing/task_rng.hpp>

#include "pool_fixture.hpp"

namespace {

using mp::Philox4x32;
using mp::TaskRng;
using namespace mp::test;

static_assert(std::uniform_random_bit_generator<TaskRng>);

using TaskRandom = PoolTest;

// From the known answers that its authors publish (Random123, kat_vectors, philox4x32 10).
TEST_F(TaskRandom, PhiloxGivesThePublishedAnswers) {
    EXPECT_EQ(Philox4x32::block({0, 0, 0, 0}, {0, 0}),
              (Philox4x32::Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint32_t ones = 0xffffffff;
    EXPECT_EQ(Philox4x32::block({ones, ones, ones, ones}, {ones, ones}),
              (Philox4x32::Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(Philox4x32::block({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (Philox4x32::Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST_F(TaskRandom, EachSeedCallAndTaskHasAStreamOfItsOwn) {
    std::set<std::uint64_t> firsts;
    for (std::uint64_t seed : {0ULL, 1ULL, 1ULL << 32})
        for (std::uint64_t call : {0ULL, 1ULL})
            for (std::uint64_t task : {0ULL, 1ULL, 1ULL << 32, (1ULL << 47) + 1})
                firsts.insert(TaskRng(seed, call, task)());
    EXPECT_EQ(firsts.size(), 24U);
    TaskRng one(7, 3, 5), same(7, 3, 5);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(one(), same());
    std::vector<std::uint64_t> numbers(1000);
    std::ranges::generate(numbers, std::ref(one));
    std::ranges::sort(numbers);
    EXPECT_EQ(std::ranges::adjacent_find(numbers), numbers.end());
}

TEST_F(TaskRandom, UniformLiesInItsInterval) {
    TaskRng rng(1);
    double sum = 0;
    for (int i = 0; i < 10'000; ++i) {
        const double x = rng.uniform();
        ASSERT_GE(x, 0.0);
        ASSERT_LT(x, 1.0);
        sum += x;
    }
    EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST_F(TaskRandom, IsRefusedOutsideOfTasks) {
    EXPECT_THAT(error_of<mp::Error>([] { mp::task_rng(); }), ::testing::HasSubstr("outside of a pool's task"));
}

}  // namespace
