// Real children that really crash, forked by this single-threaded test.
#include "os/crash_report.hpp"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/exit_status.hpp"
#include "support/sanitizers.hpp"

using mp::ExitStatus;
using mp::os::CrashReport;
using testing::HasSubstr;
using testing::StartsWith;

#define MP_SKIP_SANITIZED() MP_SKIP_UNDER_SANITIZERS("the sanitizer decides how the process ends")

namespace crashing {

volatile int zero = 0;
int* volatile nowhere = nullptr;
void (*volatile no_function)() = nullptr;

[[gnu::noinline]] void read_table() { nowhere[4] = 1; constexpr int line = __LINE__; (void)line; }
constexpr int read_table_line = __LINE__ - 1;

[[gnu::noinline]] void parse() {
    read_table();
    asm volatile("");  // no tail call
}
[[gnu::noinline]] void divide() {
    zero = 100 / zero;
    asm volatile("");
}
[[gnu::noinline]] void give_up() {
    std::abort();
}
[[gnu::noinline]] void call_nothing() {
    no_function();
    asm volatile("");
}
[[gnu::noinline]] void illegal() {
    __builtin_trap();
}
[[gnu::noinline]] void trap() {
    std::raise(SIGTRAP);
    asm volatile("");
}
[[gnu::noinline]] int recurse(int depth) {  // NOLINT(misc-no-recursion)
    volatile char local[256] = {};
    local[depth % 256] = 1;
    return depth < 0 ? 0 : recurse(depth + 1) + local[depth % 256];
}
[[gnu::noinline]] void overflow() {
    zero = recurse(0);
    asm volatile("");
}
[[gnu::noinline]] void bus_error() {
    char path[] = "/tmp/mp-bus-XXXXXX";
    const int fd = ::mkstemp(path);
    ::unlink(path);
    auto* page = static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
    zero = page[0];
    asm volatile("");
}
[[gnu::noinline]] void throw_uncaught() {
    throw 1;
}

}  // namespace crashing

namespace {

class CrashReports : public testing::Test {
  protected:
    void SetUp() override {
        void* memory = ::mmap(nullptr, sizeof(CrashReport), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(memory, MAP_FAILED);
        report_ = static_cast<CrashReport*>(memory);
        event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    void TearDown() override {
        if (!report_) return;
        ::munmap(report_, sizeof(CrashReport));
        ::close(event_);
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    }

    ExitStatus status_of(const std::function<void()>& child, bool install = true) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            const rlimit no_core{0, 0};
            ::setrlimit(RLIMIT_CORE, &no_core);
            ::close(STDERR_FILENO);  // abort() and terminate() would write to it
            if (install && !mp::os::install_crash_handler(report_)) ::_exit(99);
            mp::os::notify_of_crashes(event_);
            child();
            ::_exit(0);
        }
        int status = 0;
        rusage usage{};
        EXPECT_EQ(::wait4(pid, &status, 0, &usage), pid);
        return mp::os::make_exit_status(status, usage, report_);
    }

    std::uint64_t notifications() {
        std::uint64_t count = 0;
        return ::read(event_, &count, sizeof count) == sizeof count ? count : 0;
    }

    CrashReport* report_ = nullptr;
    int event_ = -1;
};

TEST_F(CrashReports, TellSignalAddressFunctionAndLineOfASegmentationFault) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::parse);
    EXPECT_EQ(status.signal(), SIGSEGV);
    EXPECT_EQ(notifications(), 1u);
    ASSERT_TRUE(status.crash());
    EXPECT_EQ(status.crash()->address, 0x10u);
    EXPECT_FALSE(status.crash()->stack_overflow);
    EXPECT_EQ(status.to_string(), "killed by SIGSEGV at 0x10 in crashing::read_table (crash_report_test.cpp:" +
                                      std::to_string(crashing::read_table_line) + ")");
    const auto frames = status.crash()->stack.frames();
    ASSERT_GE(frames.size(), 2u);
    EXPECT_EQ(frames[1].function, "crashing::parse");
    EXPECT_THAT(frames[1].file, HasSubstr("crash_report_test.cpp"));
    EXPECT_THAT(status.crash()->stack.to_string(), StartsWith("    #0  crashing::read_table at "));
}

TEST_F(CrashReports, TellADivisionByZero) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::divide);
    EXPECT_EQ(status.signal(), SIGFPE);
    EXPECT_THAT(status.to_string(), HasSubstr("in crashing::divide (crash_report_test.cpp:"));
}

TEST_F(CrashReports, TellWhoCalledAbort) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::give_up);
    EXPECT_EQ(status.signal(), SIGABRT);
    EXPECT_THAT(status.to_string(), StartsWith("killed by SIGABRT in crashing::give_up (crash_report_test.cpp:"));
    EXPECT_EQ(notifications(), 1u);
}

TEST_F(CrashReports, TellWhoCalledANullFunction) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::call_nothing);
    EXPECT_EQ(status.signal(), SIGSEGV);
    EXPECT_THAT(status.to_string(), StartsWith("killed by SIGSEGV at 0x0 in crashing::call_nothing (crash_report_test"));
}

TEST_F(CrashReports, TellAnIllegalInstruction) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::illegal);
    EXPECT_EQ(status.signal(), SIGILL);
    EXPECT_THAT(status.to_string(), HasSubstr("in crashing::illegal"));
}

TEST_F(CrashReports, TellATrap) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::trap);
    EXPECT_EQ(status.signal(), SIGTRAP);
    EXPECT_THAT(status.to_string(), StartsWith("killed by SIGTRAP in crashing::trap"));
}

TEST_F(CrashReports, TellAReadPastTheEndOfAFile) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::bus_error);
    EXPECT_EQ(status.signal(), SIGBUS);
    EXPECT_THAT(status.to_string(), HasSubstr("in crashing::bus_error"));
}

TEST_F(CrashReports, TellAnOverflowOfTheMainThreadsStack) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of(crashing::overflow);
    EXPECT_EQ(status.signal(), SIGSEGV);
    EXPECT_THAT(status.to_string(), StartsWith("killed by SIGSEGV (stack overflow) at 0x"));
    EXPECT_THAT(status.to_string(), HasSubstr("in crashing::recurse"));
}

TEST_F(CrashReports, TellAnOverflowOfAnArmedThreadsStackAndItsName) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of([] {
        std::thread([] {
            ::prctl(PR_SET_NAME, "digger");
            if (!mp::os::arm_this_thread()) ::_exit(98);
            crashing::overflow();
        }).join();
    });
    EXPECT_EQ(status.signal(), SIGSEGV);
    ASSERT_TRUE(status.crash());
    EXPECT_TRUE(status.crash()->stack_overflow);
    EXPECT_EQ(status.crash()->thread_name, "digger");
}

TEST_F(CrashReports, TellWhereAnUncaughtExceptionWasThrown) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of([]() noexcept { crashing::throw_uncaught(); });
    EXPECT_EQ(status.signal(), SIGABRT);
    EXPECT_THAT(status.to_string(), HasSubstr("crash_report_test.cpp"));
}

TEST_F(CrashReports, AreWholeWhenSeveralThreadsCrashAtOnce) {
    MP_SKIP_SANITIZED();
    for (int round = 0; round < 5; ++round) {
        report_->state = CrashReport::empty;
        report_->stack.frame_count = report_->stack.module_count = 0;
        const ExitStatus status = status_of([] {
            std::thread other([] { crashing::parse(); });
            crashing::parse();
            other.join();
        });
        EXPECT_EQ(report_->state.load(), CrashReport::complete);
        EXPECT_THAT(status.to_string(), HasSubstr("in crashing::read_table"));
    }
}

TEST_F(CrashReports, KeepASignalThatSomebodySent) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of([] { ::kill(::getpid(), SIGSEGV); });
    EXPECT_EQ(status.signal(), SIGSEGV);
    ASSERT_TRUE(status.crash());
    EXPECT_FALSE(status.crash()->address);
}

TEST_F(CrashReports, LeaveOtherSignalsAlone) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of([] { std::raise(SIGKILL); });
    EXPECT_EQ(status.to_string(), "killed by SIGKILL");
    EXPECT_FALSE(status.crash());
    EXPECT_EQ(notifications(), 0u);
}

TEST_F(CrashReports, EndInTheDefaultActionWhenTheHandlerItselfFaults) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of([this] {
        ::munmap(report_, sizeof(CrashReport));  // the handler faults on its first write
        crashing::parse();
    });
    EXPECT_EQ(status.signal(), SIGSEGV);
    EXPECT_FALSE(status.crash());
}

TEST_F(CrashReports, LetAHandlerThatTheProgramInstalledLaterWin) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of([] {
        std::signal(SIGSEGV, [](int) { ::_exit(7); });
        crashing::parse();
    });
    EXPECT_EQ(status.code(), 7);
    EXPECT_EQ(notifications(), 0u);
}

TEST_F(CrashReports, SurviveAStackPointerThatPointsNowhere) {
    MP_SKIP_SANITIZED();
    const ExitStatus status = status_of([] {
#if defined(__x86_64__)
        asm volatile("movq $8, %rsp; pushq %rax");
#else
        crashing::parse();
#endif
    });
    EXPECT_EQ(status.signal(), SIGSEGV);
    EXPECT_TRUE(status.crash());
}

TEST_F(CrashReports, AreWrittenUnderASanitizerTooWhichThenDecidesHowTheProcessEnds) {
    if (!MP_UNDER_SANITIZER) GTEST_SKIP() << "for builds with a sanitizer";
    const ExitStatus status = status_of(crashing::parse);
    EXPECT_FALSE(status.success());
    const auto crash = mp::os::read_crash_report(*report_);
    ASSERT_TRUE(crash);
    EXPECT_EQ(crash->signal, SIGSEGV);
    EXPECT_EQ(crash->stack.top()->function, "crashing::read_table");
}

TEST_F(CrashReports, AreReadSafelyWhateverTheMemoryHolds) {
    auto* bytes = reinterpret_cast<unsigned char*>(report_);
    unsigned seed = 1;
    for (int round = 0; round < 50; ++round) {
        for (std::size_t i = 0; i < sizeof(CrashReport); ++i) bytes[i] = static_cast<unsigned char>((seed = seed * 1664525 + 1013904223) >> 24);
        report_->state.store(CrashReport::complete);
        const auto crash = mp::os::read_crash_report(*report_);
        ASSERT_TRUE(crash);
        EXPECT_LE(crash->stack.frames().size(), mp::os::StackReport::max_frames);
    }
}

}  // namespace
