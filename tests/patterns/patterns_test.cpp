// Each program of examples/patterns prints what it promises.
#include <gtest/gtest.h>

#include "support/run_program.hpp"

namespace {

std::string output(const std::string& name) {
    const auto result = mp::test::run_program({PATTERN_PROGRAMS + name});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
}

TEST(Patterns, PoisonPillsStopEveryWorker) { EXPECT_EQ(output("poison_pills"), "sum of the squares up to 20: 2870\n"); }
TEST(Patterns, ResultsAreInOrderByTheirIndex) {
    EXPECT_EQ(output("ordered_results"), "FIRST\nSECOND\nTHIRD\nFOURTH\nFIFTH\n");
}
TEST(Patterns, StagesEndOneAfterTheOther) { EXPECT_EQ(output("stages"), "sum of the odd cubes up to 100: 12497500\n"); }
TEST(Patterns, NeverMoreThanThreeAreInside) {
    EXPECT_EQ(output("three_at_a_time"), "10 visits, never more than three at a time: true\n");
}
TEST(Patterns, NoVoteIsLost) { EXPECT_EQ(output("shared_dict"), "Ada: 100\nBarbara: 50\nGrace: 50\n"); }
TEST(Patterns, ARemoteClientUsesAnOwnClassOverTcp) {
    EXPECT_EQ(output("remote_manager"), "Grace has 30\nrefused: Ada has not got 100\na wrong key is refused\n");
}

}  // namespace
