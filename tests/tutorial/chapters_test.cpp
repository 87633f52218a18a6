// Each chapter's program, run as the reader runs it, prints what the tutorial promises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/run_program.hpp"

namespace {

using testing::HasSubstr;

std::string output(const std::string& chapter, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), TUTORIAL_PROGRAMS + chapter);
    const auto result = mp::test::run_program(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
}

TEST(Tutorial, Chapter1CountsAlone) {
    EXPECT_THAT(output("01_serial"), HasSubstr("Count of primes from 1 to 80000 is: 7837\n"));
}

TEST(Tutorial, Chapter2CountsInTwoProcesses) {
    const std::string text = output("02_two_processes");
    EXPECT_THAT(text, HasSubstr("found 4203 primes from 1 to 40000\n"));
    EXPECT_THAT(text, HasSubstr("found 3634 primes from 40001 to 80000\n"));
    EXPECT_THAT(text, HasSubstr("worker 2: done!\n"));
}

TEST(Tutorial, Chapter3AddsUpInAValueAndTellsThroughAQueue) {
    const std::string text = output("03_value_and_queue");
    EXPECT_THAT(text, HasSubstr("Number of primes from 1 to 80000 is: 7837\n"));
    EXPECT_THAT(text, HasSubstr("found 4203 primes from 1 to 40000\n"));
    EXPECT_THAT(text, HasSubstr("found 3634 primes from 40001 to 80000\n"));
}

TEST(Tutorial, Chapter4CountsInFourWorkers) {
    const std::string text = output("04_many_workers");
    EXPECT_THAT(text, HasSubstr("Number of primes from 1 to 80000 is: 7837\n"));
    for (const char* found : {"found 2262 primes from 1 to 20000\n", "found 1941 primes from 20001 to 40000\n",
                              "found 1854 primes from 40001 to 60000\n", "found 1780 primes from 60001 to 80000\n"})
        EXPECT_THAT(text, HasSubstr(found));
}

TEST(Tutorial, Chapter5CountsInAPool) {
    const std::string text = output("05_pool", {"20"});
    EXPECT_THAT(text, HasSubstr("Number of primes from 1 to 80000 is: 7837\n"));
    const int known[] = {550, 457, 431, 424, 400, 406, 387, 377, 392, 379,
                         376, 367, 373, 364, 374, 356, 361, 354, 356, 353};
    std::size_t place = 0;  // in this order
    for (int i = 0; i < 20; ++i) {
        const std::string found = "found " + std::to_string(known[i]) + " primes from " + std::to_string(4000 * i + 1) +
                                  " to " + std::to_string(4000 * i + 4000) + "\n";
        place = text.find(found, place);
        ASSERT_NE(place, std::string::npos) << found;
    }
    EXPECT_THAT(output("05_pool"), HasSubstr("Number of primes from 1 to 80000 is: 7837\n"));
}

TEST(Tutorial, Chapter6DoesNothingInAnOwnWorker) { EXPECT_EQ(output("06_own_worker"), ""); }

TEST(Tutorial, Chapter7KeepsItsResultsInTheWorker) {
    const std::string text = output("07_own_memory");
    EXPECT_THAT(text, HasSubstr("results in the worker: 6\n"));
    EXPECT_THAT(text, HasSubstr("results in the main program: 0\n"));
}

TEST(Tutorial, Chapter8GetsBothAnswersAndTheGoodbye) {
    EXPECT_EQ(output("08_pipe"),
              "results for task 1: 1 2 3 4 5 6\n"
              "results for task 2: 6 6 6 2\n"
              "worker is closed!\n");
}

TEST(Tutorial, Chapter9LosesAndTearsNoFrame) {
    EXPECT_EQ(output("09_camera"),
              "main program: 2262 primes up to 20000, while the camera records\n"
              "frames recorded: all seen, lost: 0, torn: 0\n");
}

}  // namespace
