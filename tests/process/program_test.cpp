// Whole programs: what only shows from outside.
#include <gmock/gmock.h>

#include <signal.h>
#include <stdlib.h>

#include <filesystem>

#include "process/mailbox.hpp"
#include "support/run_program.hpp"

namespace {

using mp::test::run_program;
using ::testing::HasSubstr;

using Programs = mp::test::LeakCheck;

std::string program(const std::string& name) { return PROCESS_PROGRAMS + name; }

struct Folder {
    std::string path = (std::filesystem::temp_directory_path() / "programs-XXXXXX").string();
    Folder() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
    ~Folder() { std::filesystem::remove_all(path); }
};

// cpython: MiscTestCase.test_preload_main_sys_argv, MiscTestCase.test_preload_main_large_sys_argv
TEST_F(Programs, ArgumentsAreThoseOfTheProgramHoweverMany) {
    std::vector<std::string> command{program("arguments")};
    for (int i = 1; i <= 5000; ++i) command.push_back("argument " + std::to_string(i));
    const auto result = run_program(command);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "5001 argument 5000\n5001 argument 5000\n5001 argument 5000\n");
}

TEST_F(Programs, AStaticInitialiserMayStartAThread) {
    const auto result = run_program({program("static_thread")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "0\n1\n0\n1\nrefused\n");
}

// cpython: TestNoForkBomb.test_noforkbomb (what multiplies here is a static initialiser, not main)
TEST_F(Programs, AStaticInitialiserThatStartsAProcessDoesNotMultiply) {
    const auto result = run_program({program("static_process")});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "worked\nstarted\nmain\n");
    EXPECT_THAT(result.err, HasSubstr("refused: a static initialiser uses worker processes"));
}

TEST_F(Programs, AStaticProcessIsJoinedWhenTheProgramEnds) {
    const auto result = run_program({program("static_object")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "main\ntold\n");
}

TEST_F(Programs, NothingOfAKilledProgramHoldsItsOutput) {
    mp::test::RunningProgram running({program("owner")});
    std::string all;
    for (int i = 0; i < 3 * 5 + 1; ++i) all += "ready\n";
    ASSERT_TRUE(running.wait_for_out(all));
    ::kill(running.pid(), SIGKILL);
    const auto begin = std::chrono::steady_clock::now();
    const auto result = running.finish();
    EXPECT_EQ(result.exit_code, -SIGKILL);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900)) << "finish() gives up after 1 s";
    EXPECT_EQ(result.out, all);
    EXPECT_EQ(result.err, "");
}

TEST_F(Programs, AForkServerThatDiesInTheMidstOfAStartStartsNothingTwice) {
    const Folder begun, unbegun;
    const auto kept = run_program({program("dying_server"), "begun", begun.path});
    EXPECT_EQ(kept.exit_code, 0) << kept.err;
    EXPECT_EQ(kept.out, "run\n");
    const auto replaced = run_program({program("dying_server"), "unbegun", unbegun.path});
    EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
    EXPECT_EQ(replaced.out, "the other exited with 255\nrun\n");
}

}  // namespace
