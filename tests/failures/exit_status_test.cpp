#include <csignal>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <multiprocessing/errors.hpp>
#include <multiprocessing/exit_status.hpp>

namespace {

TEST(ExitStatus, IsPythonsNumber) {
    EXPECT_EQ(mp::ExitStatus(mp::ExitStatus::Exited{3}).exitcode(), 3);
    EXPECT_EQ(mp::ExitStatus(mp::ExitStatus::Signalled{SIGKILL, false}).exitcode(), -9);
    EXPECT_EQ(mp::ExitStatus().exitcode(), 255);
}

TEST(ExitStatus, SaysHowItEnded) {
    EXPECT_EQ(mp::ExitStatus(mp::ExitStatus::Exited{3}).to_string(), "exited with code 3");
    EXPECT_EQ(mp::ExitStatus(mp::ExitStatus::Signalled{SIGTERM, false}).to_string(), "killed by SIGTERM");
    EXPECT_EQ(mp::ExitStatus().to_string(), "ended, but how is not known");
    mp::ExitStatus killed(mp::ExitStatus::Signalled{SIGKILL, false});
    killed.set_killed_for_memory("oom_kill went from 0 to 1");
    EXPECT_TRUE(killed.killed_for_memory());
    EXPECT_EQ(killed.to_string(), "killed by SIGKILL (out of memory: oom_kill went from 0 to 1)");
    mp::ExitStatus crashed(mp::ExitStatus::Signalled{SIGSEGV, true});
    crashed.set_crash({.signal = SIGSEGV, .address = 0x10});
    EXPECT_EQ(crashed.to_string(), "killed by SIGSEGV at 0x10");
}

TEST(Errors, NameTheOperationAndTheObject) {
    const mp::SystemError error(std::error_code(ENOMEM, std::system_category()), "cannot map 64 MiB for queue \"frames\"");
    EXPECT_STREQ(error.what(), "cannot map 64 MiB for queue \"frames\": Cannot allocate memory");
    EXPECT_EQ(error.code(), std::errc::not_enough_memory);
}

TEST(Errors, NameTheTask) {
    const mp::TaskInfo task{.function = "parse", .index = 7, .label = "c.pdf"};
    EXPECT_EQ(task.to_string(), "parse(#7 \"c.pdf\", attempt 1)");
    EXPECT_EQ(mp::TaskInfo{.function = "parse"}.to_string(), "parse");
    mp::ExitStatus status(mp::ExitStatus::Signalled{SIGSEGV, false});
    status.set_crash({.signal = SIGSEGV, .address = 0x10});
    const mp::WorkerLost lost({.task = task, .pid = 8123, .status = status});
    EXPECT_STREQ(lost.what(), "parse(#7 \"c.pdf\", attempt 1): worker 8123 killed by SIGSEGV at 0x10");
    EXPECT_STREQ(mp::WorkerLost({.task = task, .pid = 5, .status = mp::ExitStatus(mp::ExitStatus::Exited{3}),
                                 .called_exit = true}).what(),
                 "parse(#7 \"c.pdf\", attempt 1): worker 5 exited with code 3 (the task called exit)");
    EXPECT_STREQ(mp::TaskTimeout(task, std::chrono::milliseconds(1500), 5).what(),
                 "parse(#7 \"c.pdf\", attempt 1): stopped after its limit of 1.5 s in worker 5");
    EXPECT_STREQ(mp::TaskCancelled(task, "the pool was terminated").what(),
                 "parse(#7 \"c.pdf\", attempt 1): cancelled: the pool was terminated");
}

TEST(Errors, NameTheThreadsThatMakeForkUnsafe) {
    const mp::UnsafeFork error(std::vector<std::string>{"renderer", "audio"});
    EXPECT_THAT(error.what(), ::testing::HasSubstr("2 other threads (\"renderer\", \"audio\")"));
    EXPECT_EQ(error.threads().size(), 2u);
}

}  // namespace
