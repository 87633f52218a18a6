#include "pool/stop_ladder.hpp"

#include <gtest/gtest.h>

#include "pool/restart_intensity.hpp"

namespace {

using namespace std::chrono_literals;
using mp::pool::RestartMeter;
using mp::pool::StopProgress;
using Step = StopProgress::Step;

const StopProgress::Clock::time_point begin{1h};

TEST(StopLadder, NamesEachStepOnceAndWhenItIsDue) {
    StopProgress progress({.token = 100ms, .terminate = 400ms}, begin);
    EXPECT_EQ(progress.due(), begin);
    EXPECT_EQ(progress.advance(begin), Step::token);
    EXPECT_EQ(progress.advance(begin + 99ms), std::nullopt);
    EXPECT_EQ(progress.due(), begin + 100ms);
    EXPECT_EQ(progress.advance(begin + 100ms), Step::terminate);
    EXPECT_EQ(progress.advance(begin + 499ms), std::nullopt);
    EXPECT_EQ(progress.advance(begin + 500ms), Step::kill);
    EXPECT_EQ(progress.due(), std::nullopt);
    EXPECT_EQ(progress.advance(begin + 1h), std::nullopt);
}

TEST(StopLadder, LeavesOutStepsWithoutTime) {
    StopProgress progress({.token = 0ms, .terminate = 0ms}, begin);
    EXPECT_EQ(progress.advance(begin), Step::kill);
}

TEST(StopLadder, StopsWhereAStepMayTakeForEver) {
    StopProgress progress({.token = std::chrono::hours::max()}, begin);
    EXPECT_EQ(progress.advance(begin), Step::token);
    EXPECT_EQ(progress.due(), std::nullopt);
}

TEST(RestartIntensity, MoreThanSoManyWithinATimeAreTooMany) {
    RestartMeter meter(2, 10s);
    EXPECT_FALSE(meter.add(begin));
    EXPECT_FALSE(meter.add(begin + 1s));
    EXPECT_TRUE(meter.add(begin + 10s));
}

TEST(RestartIntensity, ForgetsWhatIsLongAgo) {
    RestartMeter meter(2, 10s);
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(meter.add(begin + i * 6s));
}

TEST(RestartIntensity, NoneAtAllMayBeAllowed) { EXPECT_TRUE(RestartMeter(0, 1s).add(begin)); }

}  // namespace
