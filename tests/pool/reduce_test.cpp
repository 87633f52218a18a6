// reduce and for_each.
#include <csignal>
#include <cstdint>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;

using PoolReduce = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolReduce);
using PoolForEach = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolForEach);

long square(int x) { return static_cast<long>(x) * x; }

TEST_P(PoolReduce, FoldsRangesArraysAndEncodedElements) {
    Pool pool(options());
    EXPECT_EQ(pool.reduce(square, std::plus<>{}, 0L, mp::range(1, 80001)), 170'669'866'680'000L);
    std::vector<int> numbers(10'001);
    std::iota(numbers.begin(), numbers.end(), 0);
    EXPECT_EQ(pool.reduce([](int x) { return x; }, [](long a, long b) { return std::max(a, b); }, -1L, numbers),
              10'000);
    const std::vector<std::string> words{"a", "b", "c", "d", "e"};
    const auto twice = [](const std::string& s) { return s + s; };
    EXPECT_EQ(pool.reduce(twice, std::plus<>{}, std::string("<"), words), "<aabbccddee");
    EXPECT_EQ(pool.reduce(twice, std::plus<>{}, std::string("<"), words, {.chunk_size = 2}), "<aabbccddee");
    EXPECT_EQ(pool.reduce(square, std::plus<>{}, 5L, std::vector<int>()), 5);
}

TEST_P(PoolReduce, IsTheSameToTheLastBitWhateverTheWorkers) {
    const auto harmonic = [](int x) { return 1.0 / (x + 1); };
    Pool one(options(1)), three(options(3));
    const double expected = one.reduce(harmonic, std::plus<>{}, 0.0, mp::range(0, 50'000));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(three.reduce(harmonic, std::plus<>{}, 0.0, mp::range(0, 50'000)), expected);
}

TEST_P(PoolReduce, BlamesTheElementThatFailed) {
    Pool pool(options());
    const auto fails = [](int x) {
        if (x == 4321) throw std::domain_error("bad");
        return x;
    };
    try {
        pool.reduce(fails, std::plus<>{}, 0, mp::range(0, 10'000));
        ADD_FAILURE() << "nothing was thrown";
    } catch (const mp::RemoteError& error) {
        EXPECT_EQ(error.task().index, 4321U);
    }
}

TEST_P(PoolReduce, BlamesTheElementThatKilledAndCountsNoGroupTwice) {
    MP_SKIP_UNLESS(isolates_crashes);
    MP_SKIP_UNDER_SANITIZERS("the crash is raw");
    Pool pool(options());
    const auto dies = [](int x) {
        if (x == 4321) ::raise(SIGKILL);
        return x;
    };
    try {
        pool.reduce(dies, std::plus<>{}, 0, mp::range(0, 10'000));
        ADD_FAILURE() << "nothing was thrown";
    } catch (const mp::WorkerLost& error) {
        EXPECT_EQ(error.task_index(), 4321U);
    }
    mp::Value<int> deaths(0);
    const auto dies_once = [](mp::Value<int>& count, int x) {
        if (x == 4321 && count.fetch_add(1) == 0) ::raise(SIGKILL);
        return x;
    };
    mp::CallOptions options;
    options.retries = mp::Retries{.crash = 1};
    EXPECT_EQ(pool.reduce(mp::bind(dies_once, deaths), std::plus<>{}, 0L, mp::range(0, 10'000), options), 49'995'000);
}

TEST_P(PoolForEach, ChangesSharedMemoryInPlace) {
    Pool pool(options());
    mp::Array<double> samples(10'000);
    std::iota(samples.begin(), samples.end(), 0.0);
    pool.for_each([](double& x) { x *= 2; }, samples.span());
    EXPECT_EQ(samples.span()[9'999], 19'998.0);
    pool.for_each([](double& x) { x += 1; }, samples.span().subspan(5'000, 2), {.chunk_size = 1});
    EXPECT_EQ(samples.span()[4'999], 9'998.0);
    EXPECT_EQ(samples.span()[5'000], 10'001.0);
    EXPECT_EQ(samples.span()[5'002], 10'004.0);
    pool.for_each([](double& x) { x = 7; }, samples);
    EXPECT_EQ(samples.span()[0], 7.0);
    mp::SharedMemory memory(4096);
    pool.for_each([](std::int32_t& x) { x = 3; }, memory.span<std::int32_t>());
    EXPECT_EQ(memory.span<std::int32_t>()[1023], 3);
    pool.for_each([](double& x) { x = 0; }, samples.span().first(0));
}

TEST_P(PoolForEach, RefusesASpanThatIsNotShared) {
    Pool pool(options(1));
    std::vector<double> own(100);
    EXPECT_THAT(error_of<std::invalid_argument>([&] { pool.for_each([](double& x) { x = 1; }, std::span(own)); }),
                ::testing::HasSubstr("make it the span() of an mp::Array"));
}

TEST_P(PoolForEach, RunsForEffectsOverOtherRanges) {
    Pool pool(options());
    mp::Value<long> sum(0);
    const auto add = [](mp::Value<long>& total, int x) { return total += x; };
    pool.for_each(mp::bind(add, sum), mp::range(0, 101));
    pool.for_each(mp::bind(add, sum), std::vector{1000, 2000});
    EXPECT_EQ(sum.load(), 8050);
}

TEST_P(PoolForEach, ThrowsTheFirstErrorAfterAllWereRun) {
    Pool pool(options());
    mp::Array<int> numbers(100);
    const auto fails_on_five = [](int& x) {
        if (++x == 5) throw std::domain_error("five");
    };
    numbers.span()[30] = 4;
    EXPECT_EQ(error_of<std::domain_error>([&] { pool.for_each(fails_on_five, numbers.span()); }), "five");
    EXPECT_EQ(numbers.span()[99], 1);
    EXPECT_EQ(numbers.span()[30], 5);
}

}  // namespace
