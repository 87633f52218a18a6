#include "support/run_program.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "support/event.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using mp::test::run_program;
using mp::test::RunningProgram;
using RunProgram = mp::test::LeakCheck;
using ARunningProgram = mp::test::LeakCheck;

TEST_F(RunProgram, TellsBothOutputsAndTheExitStatus) {
    const auto result = run_program({"sh", "-c", "echo out; echo err >&2; exit 7"});
    EXPECT_EQ(result.out, "out\n");
    EXPECT_EQ(result.err, "err\n");
    EXPECT_EQ(result.exit_code, 7);
    EXPECT_FALSE(result.timed_out);
}

TEST_F(RunProgram, TellsASignalAsANegativeNumber) {
    EXPECT_EQ(run_program({"sh", "-c", "kill -SEGV $$"}).exit_code, -SIGSEGV);
}

TEST_F(RunProgram, PassesMoreInputThanAPipeHolds) {
    const std::string input(1'000'000, 'x');
    EXPECT_EQ(run_program({"cat"}, {.input = input}).out, input);
}

TEST_F(RunProgram, SurvivesAProgramThatDoesNotReadItsInput) {
    EXPECT_EQ(run_program({"true"}, {.input = std::string(1'000'000, 'x')}).exit_code, 0);
}

TEST_F(RunProgram, SetsEnvironmentAndFolder) {
    const auto result = run_program({"sh", "-c", "echo $GREETING $PATH; pwd"},
                                    {.environment = {"GREETING=hello", "PATH=/usr/bin:/bin"}, .directory = "/"});
    EXPECT_EQ(result.out, "hello /usr/bin:/bin\n/\n");
}

TEST_F(RunProgram, KillsAProgramAndItsChildrenAtTheDeadline) {
    const auto result = run_program({"sh", "-c", "sleep 1000 & echo begun; wait"}, {.deadline = 300ms});
    EXPECT_TRUE(result.timed_out);
    EXPECT_EQ(result.exit_code, -SIGKILL);
    EXPECT_EQ(result.out, "begun\n");
}

TEST_F(RunProgram, KillsAtTheDeadlineThoughItsOutputsAreClosed) {
    EXPECT_TRUE(run_program({"sh", "-c", "exec >&- 2>&-; exec sleep 1000"}, {.deadline = 300ms}).timed_out);
}

TEST_F(RunProgram, DoesNotWaitForABackgroundProcessThatHoldsTheOutput) {
    const auto result = run_program({"sh", "-c", "sleep 5 & echo $!"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_LT(result.duration, 4s);
    ::kill(std::stoi(result.out), SIGKILL);
}

TEST_F(RunProgram, TellsThatAProgramCannotBeStarted) {
    const auto result = run_program({"/no/such/program"});
    EXPECT_EQ(result.exit_code, 127);
    EXPECT_EQ(result.err, "cannot start /no/such/program: No such file or directory");
}

TEST_F(ARunningProgram, AnswersAndTakesSignals) {
    RunningProgram program({"sh", "-c", "trap 'echo stopped; exit 3' TERM; while read line; do echo got $line; done"},
                           {.keep_input_open = true});
    program.write("one\n");
    EXPECT_TRUE(program.wait_for_out("got one\n"));
    program.signal(SIGTERM);
    program.close_input();
    const auto result = program.finish();
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(result.out, "got one\nstopped\n");
}

TEST_F(ARunningProgram, StopsWaitingForTextThatNeverComesWhenTheProgramEnds) {
    RunningProgram program({"echo", "something else"});
    EXPECT_FALSE(program.wait_for_out("the text"));
    EXPECT_EQ(program.finish().exit_code, 0);
}

TEST_F(ARunningProgram, IsKilledByItsDestructor) {
    pid_t pid;
    {
        RunningProgram program({"sleep", "1000"});
        pid = program.pid();
        EXPECT_TRUE(mp::test::is_running(pid));
    }
    EXPECT_FALSE(mp::test::is_running(pid));
}

}  // namespace
