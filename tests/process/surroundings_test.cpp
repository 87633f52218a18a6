// What a process takes over from its caller at start(), and what it must not: environment, directory, streams, descriptors.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <set>

#include <gmock/gmock.h>

#include "process/mailbox.hpp"

namespace {

using mp::Process;
using mp::StartMethod;
using mp::test::ByMethod;
using mp::test::Mailbox;
using mp::test::say;
using ::testing::HasSubstr;

class ProcessSurroundings : public ByMethod {};
MP_EVERY_START_METHOD(ProcessSurroundings);

std::string umask_now() {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    return std::to_string(mask);
}

void tell_surroundings(mp::serial::Handle to) {
    const char* value = std::getenv("MP_TEST_SURROUNDINGS");
    const char* marker = std::getenv("MULTIPROCESSING_WORKER");
    say(to, std::string(value ? value : "unset") + (marker ? " marked " : " ") + std::filesystem::current_path().string() + ' ' +
                umask_now());
}

TEST_P(ProcessSurroundings, FollowTheCallerAtEachStart) {
    const auto home = std::filesystem::current_path();
    const auto other = std::filesystem::temp_directory_path() / "surroundings";
    std::filesystem::create_directories(other);
    Mailbox mailbox;
    auto ask = [&] {
        Process process(options(), tell_surroundings, mailbox.address());
        process.start();
        process.join();
        return mailbox.line();
    };
    ::unsetenv("MP_TEST_SURROUNDINGS");
    EXPECT_EQ(ask(), "unset " + home.string() + ' ' + umask_now());
    ::setenv("MP_TEST_SURROUNDINGS", "first", 1);
    std::filesystem::current_path(other);
    const mode_t mask = ::umask(0137);
    EXPECT_EQ(ask(), "first " + other.string() + ' ' + std::to_string(0137));
    ::unsetenv("MP_TEST_SURROUNDINGS");
    ::umask(mask);
    std::filesystem::current_path(home);
    EXPECT_EQ(ask(), "unset " + home.string() + ' ' + std::to_string(mask));
    std::filesystem::remove(other);
}

void change_surroundings() {
    ::setenv("MP_TEST_SURROUNDINGS", "changed", 1);
    if (::chdir("/") != 0) std::exit(1);
    ::umask(0);
}

TEST_P(ProcessSurroundings, AChildCannotChangeThoseOfOthers) {
    const std::string before = umask_now();
    const auto here = std::filesystem::current_path();
    Process process(options(), change_surroundings);
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(std::getenv("MP_TEST_SURROUNDINGS"), nullptr);
    Mailbox mailbox;
    Process next(options(), tell_surroundings, mailbox.address());
    next.start();
    next.join();
    EXPECT_EQ(mailbox.line(), "unset " + here.string() + ' ' + before);
}

TEST_P(ProcessSurroundings, StartWorksInADirectoryThatIsGone) {
    if (GetParam() == StartMethod::spawn) GTEST_SKIP() << "the test framework's own initialisers need a directory";
    const auto home = std::filesystem::current_path();
    static_cast<void>(mp::process::Forkserver::shared());  // its start needs one for the same reason
    const auto gone = std::filesystem::temp_directory_path() / "gone";
    std::filesystem::create_directories(gone);
    std::filesystem::current_path(gone);
    std::filesystem::remove(gone);
    Process process(options(), [] {});
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    std::filesystem::current_path(home);
}

void print_to_both() {
    std::cout << "to stdout" << std::endl;
    std::cerr << "to stderr" << std::endl;
}

TEST_P(ProcessSurroundings, OutputGoesWhereTheCallersGoesAtStart) {
    for (int round = 0; round < 2; ++round) {
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        {
            Process process(options(), print_to_both);
            process.start();
        }
        EXPECT_EQ(testing::internal::GetCapturedStdout(), "to stdout\n");
        EXPECT_EQ(testing::internal::GetCapturedStderr(), "to stderr\n");
    }
}

/// Closes a standard stream of this process and brings it back.
class ClosedStream {
  public:
    explicit ClosedStream(int fd) : fd_(fd), copy_(mp::os::UniqueFd::duplicate(fd)) { ::close(fd); }
    ~ClosedStream() { ::dup2(copy_.get(), fd_); }

  private:
    int fd_;
    mp::os::UniqueFd copy_;
};

std::string target_of(int fd) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
    return error ? "closed" : target.string();
}
void print_and_tell(mp::serial::Handle to) {
    print_to_both();
    say(to, target_of(0) + ' ' + target_of(1) + ' ' + target_of(2));
}

// cpython: _TestProcess.test_error_on_stdio_flush_1
TEST_P(ProcessSurroundings, StartWorksWhileStandardStreamsAreClosed) {
    for (const int streams : {1, 2, 4, 3, 6, 7}) {  // bits: stdin, stdout, stderr
        std::fflush(stdout);
        Mailbox mailbox;
        std::string told;
        std::optional<int> code;
        int ended_by = 0;
        {
            std::vector<std::unique_ptr<ClosedStream>> closed;
            for (int fd = 0; fd < 3; ++fd)
                if (streams & (1 << fd)) closed.push_back(std::make_unique<ClosedStream>(fd));
            // The server, too, is started without them.
            mp::process::Forkserver::shut_down_shared();
            Process process(options(), print_and_tell, mailbox.address());
            process.start();
            process.join();
            code = process.exitcode();
            told = mailbox.line();
            Process killed(options(), mp::test::wait_for_ever, mailbox.address());
            killed.start();
            mailbox.line();
            killed.terminate();
            killed.join();
            ended_by = killed.exitcode().value();
        }
        EXPECT_EQ(code, 0) << streams;
        EXPECT_EQ(ended_by, -SIGTERM) << streams;
        const std::string null = "/dev/null";
        EXPECT_EQ(told, null + ' ' + (streams & 2 ? null : target_of(1)) + ' ' + (streams & 4 ? null : target_of(2)));
    }
}

std::set<std::string> open_descriptors() {
    std::set<std::string> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), &::closedir);
    while (const dirent* entry = ::readdir(folder.get())) {
        const int fd = std::atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != ::dirfd(folder.get())) found.insert(std::to_string(fd) + '=' + target_of(fd));
    }
    return found;
}
void tell_descriptors(mp::serial::Handle to) {
    std::string text;
    const auto found = open_descriptors();
    for (const auto& entry : found) text += entry + ' ';
    say(to, std::to_string(found.size()) + ' ' + text);
}

// cpython: TestCloseFds.test_closefd
TEST_P(ProcessSurroundings, ForeignDescriptorsAreNotInherited) {
    if (GetParam() == StartMethod::fork) GTEST_SKIP() << "a snapshot has its caller's descriptors";
    mp::process::Forkserver::shut_down_shared();
    Mailbox mailbox;
    const mp::os::UniqueFd early(::open("/dev/zero", O_RDONLY));  // NOLINT(android-cloexec-open)
    for (int round = 0; round < 2; ++round) {
        const mp::os::UniqueFd late(::open("/dev/full", O_RDONLY));  // NOLINT(android-cloexec-open)
        Process process(options(), tell_descriptors, mailbox.address());
        process.start();
        process.join();
        const std::string text = mailbox.line();
        EXPECT_EQ(text.find("/dev/zero"), text.npos) << text;
        EXPECT_EQ(text.find("/dev/full"), text.npos) << text;
        EXPECT_EQ(text.find("socket:"), text.npos) << text;
    }
}

// cpython: _TestProcess.test_child_fd_inflation
TEST_P(ProcessSurroundings, TheNumberOfDescriptorsDoesNotGrowWithSiblings) {
    if (GetParam() == StartMethod::fork) GTEST_SKIP() << "a snapshot has its caller's descriptors";
    Mailbox mailbox;
    Mailbox counts;
    std::vector<Process> siblings;
    std::set<int> sizes;
    for (int i = 0; i < 10; ++i) {
        Process process(options(), tell_descriptors, counts.address());
        process.start();
        process.join();
        sizes.insert(std::atoi(counts.line().c_str()));
        siblings.emplace_back(options(), mp::test::wait_for_ever, mailbox.address());
        siblings.back().start();
    }
    EXPECT_EQ(sizes.size(), 1U);
    for (auto& process : siblings) process.kill();
}

TEST_P(ProcessSurroundings, NobodyButItsUsersHoldsAPipeOpen) {
    Mailbox mailbox;
    Process process(options(), [](mp::serial::Handle to) { say(to, "said"); }, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.rest(), "said\n") << "with its process object, and the server, still there";
}

void use_stdin(mp::serial::Handle to) {
    char byte;
    say(to, ::read(STDIN_FILENO, &byte, 1) == 0 ? "end of file" : "something");
}

TEST_P(ProcessSurroundings, StandardInputIsEmpty) {
    Mailbox mailbox;
    Process process(options(), use_stdin, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.line(), "end of file");
}

}  // namespace
