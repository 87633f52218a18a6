// No descriptors, no processes: start() fails at each of its steps with a typed error, and leaves nothing behind.
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "process/mailbox.hpp"
#include "support/child.hpp"
#include "support/resource_limit.hpp"
#include "support/sanitizers.hpp"

namespace {

using mp::Process;
using mp::StartMethod;
using mp::process::Forkserver;
using mp::test::ByMethod;
using ::testing::HasSubstr;

class ProcessLimits : public ByMethod {
    void SetUp() override {
        ByMethod::SetUp();
        MP_SKIP_UNDER_SANITIZERS("the sanitizers' own checks need pipes and threads, and take their absence for errors of the program");
    }
};
MP_EVERY_START_METHOD(ProcessLimits);

TEST_P(ProcessLimits, EveryStepWithoutADescriptorIsASystemErrorThatLeavesNothing) {
    // Both with the server still to be started and with one that runs: their steps differ.
    for (const bool server_runs : {false, true}) {
        bool started = false;
        int failures = 0;
        for (int more = 0; !started && more < 100; ++more) {
            Forkserver::shut_down_shared();
            if (server_runs && GetParam() != StartMethod::fork) static_cast<void>(Forkserver::shared());
            const auto before = mp::test::take_snapshot(mp::test::family_root());
            {
                Process process(options("hungry"), [] {});
                try {
                    const mp::test::ResourceLimit limit(RLIMIT_NOFILE, static_cast<rlim_t>(mp::test::lowest_free_descriptor() + more));
                    process.start();
                    started = true;
                } catch (const mp::SystemError& error) {
                    ++failures;
                    EXPECT_THAT(error.what(), HasSubstr("cannot "));
                    EXPECT_TRUE(error.code() == std::errc::too_many_files_open) << error.what();
                    EXPECT_FALSE(process.is_alive());
                    EXPECT_FALSE(process.pid());
                } catch (const std::exception& error) {
                    ADD_FAILURE() << more << " more: " << error.what();
                }
                if (started) {
                    process.join();
                    EXPECT_EQ(process.exitcode(), 0);
                }
            }
            if (server_runs || GetParam() == StartMethod::fork) {
                const auto left = mp::test::wait_for_no_leaks(before, std::chrono::seconds(5));
                EXPECT_THAT(left, testing::IsEmpty()) << more;
            }
        }
        EXPECT_TRUE(started);
        EXPECT_GE(failures, 4);
    }
}

TEST_P(ProcessLimits, AServerWithoutDescriptorsRefusesAndGoesOn) {
    if (GetParam() == StartMethod::fork) GTEST_SKIP() << "has no server that stays";
    for (const std::size_t handles : {0, 300}) {
        Forkserver::shut_down_shared();
        const auto server = Forkserver::shared();
        mp::test::Mailbox mailbox;
        const std::vector<mp::serial::Handle> arguments(handles, mailbox.address());
        bool started = false;
        int failures = 0;
        for (rlim_t room = 6; !started && room < 2048; room += room < 20 ? 1 : 200) {
            const rlimit few{room, 4096};
            ASSERT_EQ(::prlimit(server->pid(), RLIMIT_NOFILE, &few, nullptr), 0);
            Process process(options(), [](std::vector<mp::serial::Handle>) {}, arguments);
            try {
                process.start();
                started = true;
                process.join();
                EXPECT_EQ(process.exitcode(), 0);
            } catch (const mp::SystemError& error) {
                ++failures;
                EXPECT_TRUE(error.code() == std::errc::too_many_files_open) << error.what();
            }
        }
        EXPECT_TRUE(started);
        EXPECT_GE(failures, 3);
        EXPECT_EQ(Forkserver::shared()->pid(), server->pid()) << "the same server, still";
    }
}

TEST_P(ProcessLimits, NoMoreProcessesIsASystemErrorThatLeavesNothing) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs a user of its own";
    // Root is not limited: a fork becomes somebody who has no other process.
    mp::test::Child user([&] {
        constexpr uid_t nobody_else = 64321;
        if (::setgroups(0, nullptr) != 0 || ::setgid(nobody_else) != 0 || ::setuid(nobody_else) != 0) return 2;
        ::prctl(PR_SET_DUMPABLE, 1);  // or its own /proc/self/exe is not readable
        bool started = false;
        int failures = 0;
        for (rlim_t room = 1; !started && room < 20; ++room) {
            Forkserver::shut_down_shared();
            const rlimit few{room, 100};
            ::setrlimit(RLIMIT_NPROC, &few);
            Process process(options("crowded"), [] {});
            try {
                process.start();
                started = true;
            } catch (const mp::Error& error) {
                ++failures;
                continue;
            }
            process.join();
            if (process.exitcode() != 0) return 3;
        }
        return started && failures > 0 ? 0 : 4;
    });
    EXPECT_EQ(user.wait(), 0);
}

}  // namespace
