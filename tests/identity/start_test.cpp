// What a program makes of the marker in its environment, true or false, and what becomes of one that cannot see it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/leak_check.hpp"
#include "support/run_program.hpp"

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using mp::test::run_program;

constexpr char squares[] = "main\n1\n4\n9\n";

class AMarker : public mp::test::LeakCheck {
  protected:
    /// Runs the program with `fd` open and named as the marker. `below`: started by a shell instead of this process.
    mp::test::ProgramResult start_with(int fd, bool below = false) {
        ::fcntl(fd, F_SETFD, 0);
        std::vector<std::string> command{START_PROGRAM};
        if (below) command = {"sh", "-c", std::string(START_PROGRAM) + "; exit $?"};
        return run_program(command, {.environment = {"MULTIPROCESSING_WORKER=" + std::to_string(fd)}});
    }
};

TEST_F(AMarker, ThatIsNoNumberOrNamesNoDescriptorIsIgnored) {
    for (const char* value : {"", "x", "-1", "0", "1", "777", "99999999999999999999", "3x"}) {
        const auto result =
            run_program({START_PROGRAM}, {.environment = {std::string("MULTIPROCESSING_WORKER=") + value}});
        EXPECT_EQ(result.out, squares) << value << result.err;
        EXPECT_EQ(result.exit_code, 0) << value;
    }
}

TEST_F(AMarker, ThatNamesSomeOtherKindOfDescriptorIsIgnored) {
    const int file = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT_EQ(start_with(file).out, squares);
    ::close(file);
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    EXPECT_EQ(start_with(ends[0]).out, squares);
    ::close(ends[0]);
    ::close(ends[1]);
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(start_with(ends[0]).out, squares);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(AMarker, WhoseSocketIsHeldBySomebodyElseThanTheParentIsIgnored) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    const auto result = start_with(ends[0], true);
    EXPECT_EQ(result.out, squares) << result.err;
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(AMarker, WhosePeerIsGoneEndsTheCopyQuietly) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ::close(ends[1]);
    const auto result = start_with(ends[0]);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(result.exit_code, 0);
    ::close(ends[0]);
}

TEST_F(AMarker, AndItsSocketAreNotSeenByProgramsThatTasksStart) {
    const auto result = run_program({START_PROGRAM, "environment"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, AllOf(HasSubstr("PATH="), Not(HasSubstr("MULTIPROCESSING_WORKER")), Not(HasSubstr("socket:")),
                                  Not(HasSubstr("memfd"))));
}

#ifdef HOOKLESS_PROGRAM
using AProgramWithoutHook = mp::test::LeakCheck;

TEST_F(AProgramWithoutHook, SaysWhatToDoAndDoesNotMultiply) {
    const auto result = run_program({HOOKLESS_PROGRAM});
    EXPECT_EQ(result.exit_code, 9);
    // Its own, and the one copy that took the place of a worker.
    EXPECT_EQ(result.out, "main\nmain\n");
    EXPECT_THAT(result.err, HasSubstr("this process was started as a worker but reached main: call mp::init(argc, argv)"));
    EXPECT_THAT(result.err, HasSubstr("the copy of this program did not enter worker mode"));
}

TEST_F(AProgramWithoutHook, WorksOnceMainCallsInit) {
    const auto result = run_program({HOOKLESS_PROGRAM, "init"});
    EXPECT_EQ(result.out, squares) << result.err;
    EXPECT_EQ(result.exit_code, 0);
}
#endif

}  // namespace
