// How a process ends by itself: exit codes, exceptions, crashes, exit handlers, flushed streams.
#include <fcntl.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>

#include <multiprocessing/remote_error.hpp>

#include "process/mailbox.hpp"
#include "support/sanitizers.hpp"

namespace {

using mp::Process;
using mp::test::ByMethod;
using mp::test::Mailbox;
using mp::test::say;
using ::testing::HasSubstr;
using ::testing::Not;

class ProcessExit : public ByMethod {
  protected:
    /// Runs it with its standard error captured in `err`.
    template <class... Args>
    void run(Process& process) {
        testing::internal::CaptureStderr();
        process.start();
        process.join();
        err = testing::internal::GetCapturedStderr();
    }
    std::string err;
};
MP_EVERY_START_METHOD(ProcessExit);

void exit_with(int code) { std::exit(code); }
void leave_with(int code) { ::_exit(code); }
void leave_quickly(int code) { std::quick_exit(code); }
[[noreturn]] void abort_here() { std::abort(); }

// cpython: _TestSubclassingProcess.test_sys_exit (exit codes are numbers in C++: there are no other objects)
TEST_P(ProcessExit, TellsTheExitCode) {
    for (const int code : {0, 1, 3, 77, 255}) {
        for (const auto function : {exit_with, leave_with, leave_quickly}) {
            Process process(options(), function, code);
            process.start();
            process.join();
            EXPECT_EQ(process.exitcode(), code);
            EXPECT_EQ(process.exit_status()->code(), code);
            EXPECT_FALSE(process.error());
        }
    }
}

void throw_invalid(std::string text) { throw std::invalid_argument(text); }

// cpython: _TestSubclassingProcess.test_stderr_flush
TEST_P(ProcessExit, AnExceptionIsOnStandardErrorAndWithTheParent) {
    Process process(options("thrower"), throw_invalid, std::string("no such table"));
    run(process);
    EXPECT_EQ(process.exitcode(), 1);
    EXPECT_THAT(err, HasSubstr("thrower"));
    EXPECT_THAT(err, HasSubstr("std::invalid_argument"));
    EXPECT_THAT(err, HasSubstr("no such table"));
    EXPECT_THAT(err, HasSubstr("throw_invalid"));
    ASSERT_TRUE(process.error());
    EXPECT_STREQ(process.error()->what(), "no such table");
    EXPECT_THROW(process.error()->rethrow(), std::invalid_argument);
    EXPECT_THROW(process.error()->rethrow(), mp::RemoteError);
    EXPECT_THAT(process.error()->to_string(), HasSubstr("exit_test.cpp"));
}

TEST_P(ProcessExit, TheStackShowsTheUsersCodeAlone) {
    Process process(options(), throw_invalid, std::string("x"));
    run(process);
    for (const char* internal : {"run_entry", "run_booted", "run_order", "handle_request", "Server::", "serve", "main_or_worker",
                                 "snapshot", "std::apply", "__invoke", "launch", "run_in_snapshot", "TargetOf"})
        EXPECT_THAT(err, Not(HasSubstr(internal)));
}

void throw_number() { throw 42; }

TEST_P(ProcessExit, AnythingThatIsThrownIsTold) {
    Process process(options(), throw_number);
    run(process);
    EXPECT_EQ(process.exitcode(), 1);
    EXPECT_THAT(err, HasSubstr("int"));
    EXPECT_TRUE(process.error());
}

void throw_much() { throw std::runtime_error(std::string(200'000, 'm')); }

TEST_P(ProcessExit, AnErrorLongerThanTheReportIsCutAndStillArrives) {
    Process process(options(), throw_much);
    run(process);
    EXPECT_EQ(process.exitcode(), 1);
    ASSERT_TRUE(process.error());
    EXPECT_THAT(process.error()->what(), HasSubstr("mmmm"));
    EXPECT_THROW(process.error()->rethrow(), std::runtime_error);
}

[[gnu::noinline]] void read_table(volatile int* where) { *where = 1; }
void crash() { read_table(nullptr); }

TEST_P(ProcessExit, ACrashIsToldWithFunctionAndLine) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer takes the signal and exits");
    Process process(options(), crash);
    run(process);
    EXPECT_EQ(process.exitcode(), -SIGSEGV);
    const std::string text = process.exit_status()->to_string();
    EXPECT_THAT(text, HasSubstr("killed by SIGSEGV at 0x0 in "));
    EXPECT_THAT(text, HasSubstr("read_table (exit_test.cpp:"));
    EXPECT_FALSE(process.error());
}

TEST_P(ProcessExit, AnAbortIsMinusSix) {
    Process process(options(), abort_here);
    run(process);
    EXPECT_EQ(process.exitcode(), -SIGABRT);
}

void throw_in_a_thread() {
    std::thread([] { throw std::runtime_error("in a thread"); }).join();
}

TEST_P(ProcessExit, AnExceptionThatLeavesAThreadAborts) {
    Process process(options(), throw_in_a_thread);
    run(process);
    EXPECT_EQ(process.exitcode(), -SIGABRT);
    EXPECT_THAT(err, HasSubstr("in a thread"));
}

void work_in_threads(mp::serial::Handle to) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { say(to, "thread done"); });
}

// cpython: _TestProcess.test_wait_for_threads (in C++ the scope of a std::jthread waits)
TEST_P(ProcessExit, ThreadsOfTheChildEndBeforeIt) {
    Mailbox mailbox;
    Process process(options(), work_in_threads, mailbox.address());
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(mailbox.rest(), "thread done\nthread done\nthread done\n");
}

mp::serial::Handle* handler_target = nullptr;
void say_handler() { say(*handler_target, "handler"); }
struct SaysWhenDestroyed {
    mp::serial::Handle to;
    ~SaysWhenDestroyed() { say(to, "static of the child"); }
};
void register_and_leave(mp::serial::Handle to, int how) {
    static SaysWhenDestroyed object{to};
    handler_target = new mp::serial::Handle(to);
    std::atexit(say_handler);
    if (how == 1) std::exit(0);
    if (how == 2) throw 1;
}

// cpython: _TestAtExit.test_atexit
TEST_P(ProcessExit, HandlersRegisteredInTheChildRunThereOnce) {
    for (const int how : {0, 1, 2}) {
        Mailbox mailbox;
        Process process(options(), register_and_leave, mailbox.address(), how);
        run(process);
        EXPECT_EQ(mailbox.rest(), "handler\nstatic of the child\n") << how;
    }
}

void print_without_newline(std::string text) {
    std::printf("%s(C)", text.c_str());
    std::cout << text << "(C++)";
}

TEST_P(ProcessExit, StreamsOfTheChildAreFlushedExactlyOnce) {
    testing::internal::CaptureStdout();
    for (int i = 0; i < 2; ++i) {
        Process process(options(), print_without_newline, std::to_string(i));
        process.start();
        process.join();
    }
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "0(C)0(C++)1(C)1(C++)");
}

// cpython: _TestSpawnedSysPath.test_std_streams_flushed_after_preload
TEST_P(ProcessExit, WhatWaitsInTheParentsStreamsIsNotWrittenAgain) {
    testing::internal::CaptureStdout();
    std::printf("parent(C) ");
    std::cout << "parent(C++) ";
    {
        Process process(options(), print_without_newline, std::string("child"));
        process.start();
        process.join();
    }
    std::printf(" end");
    const std::string text = testing::internal::GetCapturedStdout();
    EXPECT_EQ(text.find("parent(C) "), text.rfind("parent(C) "));
    EXPECT_EQ(text.find("parent(C++) "), text.rfind("parent(C++) "));
    EXPECT_THAT(text, HasSubstr("child(C)child(C++)"));
    EXPECT_EQ(text.size(), std::string("parent(C) parent(C++) child(C)child(C++) end").size());
}

void close_own_streams(int how) {
    if (how == 0) ::close(1), ::close(2);
    if (how == 1) std::fclose(stdout), std::fclose(stderr);
    std::printf("into the void");
}

// cpython: _TestProcess.test_error_on_stdio_flush_2
TEST_P(ProcessExit, AChildThatClosesItsStreamsStillEndsWithZero) {
    for (const int how : {0, 1}) {
        Process process(options(), close_own_streams, how);
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), 0) << how;
    }
}

void use_time() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(30);
    std::vector<char> memory(32 << 20, 'x');
    asm volatile("" : : "r"(memory.data()) : "memory");
    while (std::chrono::steady_clock::now() < end) {}
}

TEST_P(ProcessExit, TellsWhatItUsed) {
    Process process(options(), use_time);
    process.start();
    process.join();
    const auto status = *process.exit_status();
    EXPECT_GT(status.user_time() + status.system_time(), std::chrono::milliseconds(5));
    EXPECT_GT(status.max_rss(), 32U << 20);
    EXPECT_EQ(status.to_string(), "exited with code 0");
}

}  // namespace
