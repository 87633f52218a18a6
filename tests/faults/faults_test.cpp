// Each system call of a pool's start and of handing over tasks and results fails in turn, and the limits of processes,
// descriptors and memory rise from too little to enough: success or a typed error, and nothing is left behind.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <tuple>

#include "faults/system_calls.hpp"
#include "faults/use_a_pool.hpp"
#include "pool/pool_fixture.hpp"
#include "support/run_program.hpp"

namespace {

using namespace mp::test;
using mp::StartMethod;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A fault that nobody saw, or one of the library's errors.
void expect_success_or_a_typed_error(StartMethod method) {
    try {
        use_a_pool({.workers = 2, .start_method = method});
    } catch (const mp::Error& error) {
        EXPECT_STRNE(error.what(), "");
    } catch (const std::bad_alloc&) {
    } catch (const std::exception& error) {
        ADD_FAILURE() << "another exception: " << error.what();
    }
}

class PoolFaults : public LeakCheck, public ::testing::WithParamInterface<std::tuple<StartMethod, Fault>> {
  protected:
    void SetUp() override {
        LeakCheck::SetUp();
        ::alarm(240);  // a hang ends with the name of its test
#if defined(__SANITIZE_ADDRESS__)
        GTEST_SKIP() << "the sanitizer's own calls would be counted";
#endif
    }
    void TearDown() override {
        ::alarm(0);
        LeakCheck::TearDown();
    }
};

TEST_P(PoolFaults, OfEachSystemCallInTurnAreTypedErrorsAndLeaveNothing) {
    const auto& [method, fault] = GetParam();
    int struck = 0;
    for (int n = 0; n < 1000; n += 1 + n / 16) {
        SCOPED_TRACE("call " + std::to_string(n));
        mp::process::Forkserver::shut_down_shared();
        const auto before = take_snapshot(family_root());
        arm(fault, n);
        expect_success_or_a_typed_error(method);
        const bool did = disarm();
        mp::process::Forkserver::shut_down_shared();
        EXPECT_THAT(wait_for_no_leaks(before, 10s), ::testing::IsEmpty());
        if (!did || HasFailure()) break;
        ++struck;
    }
    if (struck == 0 && !HasFailure()) GTEST_SKIP() << "this start method makes no such call";
}

std::string fault_name(const ::testing::TestParamInfo<std::tuple<StartMethod, Fault>>& info) {
    const auto& [method, fault] = info.param;
    return std::string(mp::to_string(method)) + "_" + fault.call + "_" +
           (fault.error ? ::strerrorname_np(fault.error) : "short");
}

INSTANTIATE_TEST_SUITE_P(
    Each, PoolFaults,
    ::testing::Combine(::testing::Values(StartMethod::forkserver, StartMethod::fork, StartMethod::spawn),
                       ::testing::Values(Fault{"memfd_create", EMFILE}, Fault{"memfd_create", ENOMEM},
                                         Fault{"mmap", ENOMEM}, Fault{"ftruncate", ENOMEM}, Fault{"ftruncate", EINTR},
                                         Fault{"socketpair", EMFILE}, Fault{"socketpair", ENOMEM},
                                         Fault{"pipe2", EMFILE}, Fault{"pipe2", ENFILE}, Fault{"eventfd", EMFILE},
                                         Fault{"eventfd", ENOMEM}, Fault{"epoll_create1", EMFILE},
                                         Fault{"epoll_ctl", ENOMEM}, Fault{"open", EMFILE}, Fault{"open", EINTR},
                                         Fault{"fcntl", EMFILE}, Fault{"fork", EAGAIN}, Fault{"fork", ENOMEM},
                                         Fault{"posix_spawn", EAGAIN}, Fault{"posix_spawn", ENOMEM},
                                         Fault{"pidfd_open", EMFILE}, Fault{"pidfd_open", ENOMEM},
                                         Fault{"futex", EINTR}, Fault{"futex", EAGAIN}, Fault{"sendmsg", EINTR},
                                         Fault{"sendmsg", ENOBUFS}, Fault{"sendmsg", ETOOMANYREFS},
                                         Fault{"recvmsg", EINTR}, Fault{"read", EINTR}, Fault{"read", 0},
                                         Fault{"poll", EINTR}, Fault{"epoll_wait", EINTR}, Fault{"waitpid", EINTR})),
    fault_name);

// It would serve, and never hear that a process has ended.
TEST(ServerFaults, WithoutADescriptorForItsSignalsAreTypedErrors) {
    for (const auto method : {StartMethod::forkserver, StartMethod::fork}) {
        mp::process::Forkserver::shut_down_shared();
        const auto start = [&] {
            mp::Process process({.start_method = method}, [] {});
            process.start();
            process.join();
            return process.exitcode();
        };
        {
            const NoSignalFds none;
            try {
                start();
                ADD_FAILURE() << "no error";
            } catch (const mp::SystemError& error) {
                EXPECT_TRUE(error.code() == std::errc::too_many_files_open) << error.what();
            }
        }
        EXPECT_EQ(start(), 0);
    }
}

// Of each kind of worker, each limit.
class PoolLimits : public LeakCheck, public ::testing::WithParamInterface<std::tuple<std::string, std::string>> {};

// cpython: TestPoolNotLeakOnFailure.test_release_unused_processes
// The program says what came of each step, and names what was left behind or was no error of the library.
TEST_P(PoolLimits, RisingFromTooLittleToEnoughAreTypedErrorsThatLeaveNothing) {
    MP_SKIP_UNDER_SANITIZERS("the sanitizers' own checks need pipes, and their shadow memory all address space");
    const auto& [workers, resource] = GetParam();
    const auto result = run_program({FAULTS_PROGRAMS "rising_limit", workers, resource});
    if (result.out == "skipped\n") GTEST_SKIP() << "needs to become a user without other processes";
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_FALSE(result.timed_out) << result.out;
    EXPECT_THAT(result.out, ::testing::Not(HasSubstr("wrong"))) << result.err;
    EXPECT_THAT(result.out, AllOf(HasSubstr("0 more: cannot "), HasSubstr(" more: success\n")));
}

INSTANTIATE_TEST_SUITE_P(Each, PoolLimits,
                         ::testing::Combine(::testing::Values("forkserver", "fork", "spawn", "threads"),
                                            ::testing::Values("processes", "descriptors", "memory")),
                         [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param); });

}  // namespace
