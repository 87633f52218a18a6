#include "support/leak_check.hpp"

#include <fcntl.h>
#include <gtest/gtest-spi.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "support/event.hpp"
#include "support/run_program.hpp"

namespace {

using namespace std::chrono_literals;
using mp::test::accept_leaks;
using mp::test::Event;
using mp::test::expect_no_leaks;
using mp::test::leaks;
using mp::test::Snapshot;

// What a test's body left behind must fail its end; short patience, since here it never goes away.
void end_of_test() { expect_no_leaks(20ms); }

class LeakCheckItself : public ::testing::Test {
  protected:
    void SetUp() override { accept_leaks(); }
    void TearDown() override { expect_no_leaks(); }
};

TEST_F(LeakCheckItself, AcceptsATestThatCleansUp) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    std::thread([] {}).join();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    end_of_test();
}

TEST_F(LeakCheckItself, NamesALeakedDescriptorAndItsTarget) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    EXPECT_NONFATAL_FAILURE(end_of_test(), "descriptor " + std::to_string(fd) + " -> /dev/null");
    ::close(fd);
}

TEST_F(LeakCheckItself, NamesADescriptorThatReplacedAnother) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    accept_leaks();
    const int other = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    ::dup3(other, fd, O_CLOEXEC);
    ::close(other);
    EXPECT_NONFATAL_FAILURE(end_of_test(), " -> /dev/zero");
    ::close(fd);
}

TEST_F(LeakCheckItself, NamesARunningChildAndItsCommandLine) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::execlp("sleep", "sleep", "1000", nullptr);
        ::_exit(127);
    }
    EXPECT_TRUE(mp::test::eventually([&] {
        std::ifstream in("/proc/" + std::to_string(child) + "/comm");
        std::string name;
        return std::getline(in, name) && name == "sleep";
    }));
    EXPECT_NONFATAL_FAILURE(end_of_test(), "sleep 1000");
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

TEST_F(LeakCheckItself, NamesADeadChildThatNobodyReaped) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    EXPECT_TRUE(mp::test::eventually([&] { return !mp::test::is_running(child); }));
    EXPECT_NONFATAL_FAILURE(end_of_test(), "process " + std::to_string(child) + " (dead, not reaped");
    ::waitpid(child, nullptr, 0);
}

TEST_F(LeakCheckItself, FindsAGrandchildThatLostItsParentAndLeftItsSession) {
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const pid_t grandchild = ::fork();
        if (grandchild == 0) {
            ::setsid();
            for (;;) ::pause();
        }
        const bool told = ::write(pipe[1], &grandchild, sizeof grandchild) == sizeof grandchild;
        ::_exit(told ? 0 : 1);
    }
    pid_t grandchild = 0;
    ASSERT_EQ(::read(pipe[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
    ::close(pipe[0]);
    ::close(pipe[1]);
    ::waitpid(child, nullptr, 0);
    if (mp::test::family_root() == ::getpid()) {
        ::kill(grandchild, SIGKILL);
        GTEST_SKIP() << "runs without its guard";
    }
    EXPECT_NONFATAL_FAILURE(end_of_test(), "process " + std::to_string(grandchild) + " ");
    // The guard adopted it and reaps it: the end of this test proves that.
    ::kill(grandchild, SIGKILL);
}

TEST_F(LeakCheckItself, NamesAThreadThatStillRuns) {
    Event stop;
    std::thread thread([&] { EXPECT_TRUE(stop.wait()); });
    ::pthread_setname_np(thread.native_handle(), "lingering");
    EXPECT_NONFATAL_FAILURE(end_of_test(), "\"lingering\"");
    stop.set();
    thread.join();
}

TEST_F(LeakCheckItself, ShowsTheLineOfASharedMapping) {
    const int fd = ::memfd_create("forgotten", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(fd, 4096), 0);
    void* data = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    EXPECT_NONFATAL_FAILURE(end_of_test(), "/memfd:forgotten");
    ::munmap(data, 4096);
}

TEST_F(LeakCheckItself, NamesAPrivateMappingOfAMemoryFileToo) {
    const int fd = ::memfd_create("copied", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(fd, 4096), 0);
    void* data = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    ::close(fd);
    EXPECT_NONFATAL_FAILURE(end_of_test(), "/memfd:copied");
    ::munmap(data, 4096);
}

TEST_F(LeakCheckItself, NamesFilesInSharedMemoryAndInTheTemporaryFolder) {
    const std::string shared = "/dev/shm/mp-leak-check-" + std::to_string(::getpid());
    std::ofstream(shared) << "x";
    EXPECT_NONFATAL_FAILURE(end_of_test(), "file " + shared);
    std::filesystem::remove(shared);
    const auto temporary = std::filesystem::temp_directory_path() / "mp-forgotten";
    std::ofstream(temporary) << "x";
    EXPECT_NONFATAL_FAILURE(end_of_test(), "file " + temporary.string());
    std::filesystem::remove(temporary);
}

TEST_F(LeakCheckItself, WaitsForWhatIsAboutToEnd) {
    // The sleep makes it late, nothing waits for it by time.
    std::thread([] { std::this_thread::sleep_for(50ms); }).detach();
    expect_no_leaks();
}

TEST_F(LeakCheckItself, TakesWhatWasAcceptedAsGiven) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    accept_leaks();
    end_of_test();
    ::close(fd);
}

TEST(Leaks, AreCountedNotOnlyMatched) {
    Snapshot before, after;
    before.descriptors = {{"3 x", "three"}};
    after.descriptors = {{"3 x", "three"}, {"3 x", "three again"}, {"4 y", "four"}};
    EXPECT_EQ(leaks(before, after), (std::vector<std::string>{"three again", "four"}));
    EXPECT_TRUE(leaks(after, before).empty()) << "what went away is no leak";
}

int quiesced = 0;

TEST(Quiesce, RunsBeforeTheComparisonAtBothEnds) {
    mp::test::at_quiesce([] { ++quiesced; });
    struct Check : mp::test::LeakCheck {
        using LeakCheck::SetUp, LeakCheck::TearDown;
        void TestBody() override {}
    } check;
    check.SetUp();
    EXPECT_EQ(quiesced, 1);
    check.TearDown();
    EXPECT_EQ(quiesced, 2);
}

// Run by the next test, in a program of its own.
TEST(Guard, DISABLED_LeavesADaemonBehind) {
    if (::fork() != 0) return;
    ::setsid();
    for (;;) ::pause();
}

TEST(Guard, FailsAProgramWhoseChildrenOutliveItAndKillsThem) {
    const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
    const auto result =
        mp::test::run_program({self, "--gtest_also_run_disabled_tests", "--gtest_filter=Guard.DISABLED_Leaves*"},
                              {.environment = {"MP_TEST_GUARD="}});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.out.find("[  PASSED  ] 1 test."), std::string::npos) << result.out;
    EXPECT_NE(result.err.find("left running two seconds after the test program ended:\n  process "), std::string::npos)
        << result.err;
}

TEST(Guard, DISABLED_Crashes) { ::raise(SIGKILL); }

TEST(Guard, FailsAProgramThatWasKilled) {
    const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
    const auto result =
        mp::test::run_program({self, "--gtest_also_run_disabled_tests", "--gtest_filter=Guard.DISABLED_Cr*"},
                              {.environment = {"MP_TEST_GUARD="}});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find("killed by signal 9"), std::string::npos) << result.err;
}

}  // namespace
