#include <multiprocessing/stats.hpp>

#include <gtest/gtest.h>

#include <random>

namespace mp {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

TEST(DurationHistogram, PutsEachDurationBetweenTheBoundsOfItsBucket) {
    std::mt19937_64 random(1);
    for (int bit = 0; bit < 46; ++bit)
        for (int i = 0; i < 50; ++i) {
            const std::uint64_t value = random() & ((std::uint64_t(2) << bit) - 1);
            const std::size_t bucket = DurationHistogram::bucket_of(value);
            EXPECT_LE(DurationHistogram::lower_bound(bucket), value);
            EXPECT_GT(DurationHistogram::lower_bound(bucket + 1), value);
        }
}

TEST(DurationHistogram, TakesWhatIsLongerThanItsLastBucket) {
    EXPECT_EQ(DurationHistogram::bucket_of(~std::uint64_t(0)), DurationHistogram::buckets - 1);
    EXPECT_GT(nanoseconds(DurationHistogram::lower_bound(DurationHistogram::buckets - 1)), 24h);
}

TEST(DurationHistogram, GivesPercentilesWithinAnEighth) {
    DurationHistogram histogram;
    for (int i = 1; i <= 1000; ++i) histogram.add(nanoseconds(i * 1000));
    for (const double fraction : {0.01, 0.5, 0.9, 0.99, 1.0})
        EXPECT_NEAR(static_cast<double>(histogram.percentile(fraction).count()), fraction * 1e6, fraction * 1e6 / 8);
}

TEST(DurationHistogram, OfNothingHasPercentileZero) { EXPECT_EQ(DurationHistogram().percentile(0.5), 0ns); }

TEST(DurationHistogram, AddsUpToWhatOneAloneWouldCount) {
    DurationHistogram a, b, both;
    for (int i = 0; i < 100; ++i) {
        (i % 3 ? a : b).add(nanoseconds(i * i));
        both.add(nanoseconds(i * i));
    }
    a += b;
    EXPECT_EQ(a.count(), 100u);
    for (std::size_t bucket = 0; bucket < DurationHistogram::buckets; ++bucket) EXPECT_EQ(a[bucket], both[bucket]);
}

TEST(DurationHistogram, CountsANegativeDurationAsNothing) {
    DurationHistogram histogram;
    histogram.add(-5ns);
    EXPECT_EQ(histogram[0], 1u);
}

}  // namespace
}  // namespace mp
