// Ctrl-C: how a program with pools ends by it, and that nothing stays.
#include <signal.h>

#include "pool_fixture.hpp"
#include "support/marked_processes.hpp"
#include "support/run_program.hpp"

namespace {

using namespace mp::test;
using Clock = std::chrono::steady_clock;

// A program in a state that is named, and all processes that it started.
class Interrupted {
  public:
    explicit Interrupted(const std::string& state, const std::string& method = "")
        : program_({POOL_PROGRAMS "interrupted", state, method}, {.environment = {family_.variable()}}) {}

    bool wait_for(const std::string& text) { return program_.wait_for_out(text); }
    /// Ends by the key, pressed once it has printed this.
    ProgramResult pressed_after(const char* printed) {
        EXPECT_TRUE(wait_for(printed));
        press();
        return finish();
    }
    void press() { ::kill(program_.pid(), SIGINT); }
    /// As a terminal does, for all in the foreground.
    void press_for_all() {
        for (const pid_t pid : family_.all()) ::kill(pid, SIGINT);
    }
    ProgramResult finish() {
        auto result = program_.finish();
        EXPECT_TRUE(eventually([&] { return family_.all().empty(); }, patience));
        return result;
    }

  private:
    MarkedProcesses family_;
    RunningProgram program_;
};

class PoolInterrupt : public LeakCheck, public ::testing::WithParamInterface<mp::StartMethod> {
  protected:
    static std::string method() { return std::string(to_string(GetParam())); }
};
MP_EVERY_METHOD(PoolInterrupt);
using PoolInterruptOnce = PoolTest;

TEST_P(PoolInterrupt, EndsTheProgramBySigintAfterTasksHaveHeededTheirToken) {
    Interrupted program("submit", method());
    ASSERT_TRUE(program.wait_for("begun\nbegun\n"));
    program.press_for_all();
    const auto result = program.finish();
    EXPECT_EQ(result.exit_code, -SIGINT);
    EXPECT_EQ(result.out, "begun\nbegun\nheeded\nheeded\n") << "nothing more was begun, and no call returned";
    EXPECT_EQ(result.err, "") << "there is no terminal";
}

TEST_P(PoolInterrupt, StopsAMapAtItsNextElement) {
    const auto result = Interrupted("map", method()).pressed_after("begun\nbegun\n");
    EXPECT_EQ(result.exit_code, -SIGINT);
    EXPECT_EQ(result.out, "begun\nbegun\nheeded\nheeded\n");
}

TEST_P(PoolInterrupt, KillsWhatHeedsNothingWhenTheLadderEnds) {
    Interrupted program("ignore", method());
    ASSERT_TRUE(program.wait_for("begun\nbegun\n"));
    const auto begin = Clock::now();
    program.press();
    const auto result = program.finish();
    EXPECT_EQ(result.exit_code, -SIGINT);
    EXPECT_EQ(result.out, "begun\nbegun\nasked\nasked\n");
    EXPECT_GE(Clock::now() - begin, 500ms) << "the ladder";
    EXPECT_LT(Clock::now() - begin, 20s);
}

TEST_F(PoolInterruptOnce, TheSecondPressEndsTheProgramAtOnce) {
    Interrupted program("patient");
    ASSERT_TRUE(program.wait_for("begun\nbegun\n"));
    program.press();
    ASSERT_TRUE(program.wait_for("asked\nasked\n"));
    program.press();
    EXPECT_EQ(program.finish().exit_code, -SIGINT);
}

TEST_F(PoolInterruptOnce, WhileThePoolIsLeft) {
    const auto result = Interrupted("leave").pressed_after("begun\n");
    EXPECT_EQ(result.exit_code, -SIGINT);
    EXPECT_EQ(result.out, "begun\nheeded\n");
}

TEST_F(PoolInterruptOnce, StopsAllPools) {
    const auto result = Interrupted("two").pressed_after("begun\nbegun\n");
    EXPECT_EQ(result.exit_code, -SIGINT);
    EXPECT_EQ(result.out, "begun\nbegun\nheeded\nheeded\n");
}

TEST_F(PoolInterruptOnce, EndsAProgramWhosePoolHasNothingToDo) {
    EXPECT_EQ(Interrupted("idle").pressed_after("idle\n").exit_code, -SIGINT);
}

TEST_F(PoolInterruptOnce, LeavesTheProgramsOwnHandlerAlone) {
    for (const char* when : {"own", "later"}) {
        Interrupted program(when);
        ASSERT_TRUE(program.wait_for("ready\n"));
        program.press_for_all();
        const auto result = program.finish();
        EXPECT_EQ(result.exit_code, 0) << when;
        EXPECT_EQ(result.out, "ready\n3\n") << when;
    }
}

TEST_F(PoolInterruptOnce, LeavesAnIgnoredSignalIgnored) {
    const auto result = Interrupted("ignored").finish();
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "3\n");
}

TEST_F(PoolInterruptOnce, EndsAForkedChildAsEver) {
    const auto result = Interrupted("child").finish();
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "2 3\n");
}

TEST_F(PoolInterruptOnce, TheLastPoolPutsTheDefaultActionBack) {
    EXPECT_EQ(Interrupted("after").finish().out, "standard\n");
}

}  // namespace
