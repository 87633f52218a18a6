// A host program with signal handling, waits, forks and threads of its own; helpers that are killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <thread>

#include <gmock/gmock.h>

#include <multiprocessing/synchronize.hpp>

#include "process/mailbox.hpp"
#include "support/child.hpp"
#include "support/event.hpp"

namespace {

using namespace std::chrono_literals;
using mp::Process;
using mp::StartMethod;
using mp::process::Forkserver;
using mp::test::ByMethod;
using mp::test::Event;
using mp::test::Mailbox;
using mp::test::say;
using mp::test::wait_for_ever;

class HostProgram : public ByMethod {};
MP_EVERY_START_METHOD(HostProgram);
using HostFacts = mp::test::LeakCheck;

class SignalAction {
  public:
    SignalAction(int signal, void (*handler)(int)) : signal_(signal) {
        struct sigaction action {};
        action.sa_handler = handler;
        ::sigaction(signal, &action, &before_);
    }
    ~SignalAction() { ::sigaction(signal_, &before_, nullptr); }

  private:
    int signal_;
    struct sigaction before_ {};
};

void exit_with(int code) { std::exit(code); }

void expect_right_exit_codes(mp::ProcessOptions options) {
    Forkserver::shut_down_shared();
    for (const int code : {0, 5}) {
        Process process(options, exit_with, code);
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), code);
    }
    Mailbox mailbox;
    Process process(options, wait_for_ever, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.line(), "ready");
    process.terminate();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGTERM);
}

TEST_P(HostProgram, MayIgnoreSigchld) {
    const SignalAction ignored(SIGCHLD, SIG_IGN);
    expect_right_exit_codes(options());
}

void reap_everything(int) {
    const int error = errno;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
    errno = error;
}

TEST_P(HostProgram, MayReapEverythingInAHandler) {
    const SignalAction reaping(SIGCHLD, reap_everything);
    expect_right_exit_codes(options());
}

TEST_P(HostProgram, FindsNoChildrenOfOursInItsWaits) {
    Mailbox mailbox;
    Process process(options(), wait_for_ever, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.line(), "ready");
    EXPECT_EQ(::waitpid(-1, nullptr, 0), -1);
    EXPECT_EQ(errno, ECHILD);
    process.kill();
    process.join();
    EXPECT_EQ(::waitpid(-1, nullptr, 0), -1);
    EXPECT_EQ(errno, ECHILD);
}

void on_alarm(int) {}

// cpython: _TestPollEintr.test_poll_eintr
TEST_P(HostProgram, SignalsDoNotDisturbAJoin) {
    const SignalAction alarm(SIGALRM, on_alarm);
    itimerval often{{0, 1000}, {0, 1000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    for (int i = 0; i < 10; ++i) {
        Process process(options(), [] { ::usleep(10'000); });
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), 0);
    }
    often = {};
    ::setitimer(ITIMER_REAL, &often, nullptr);
}

// cpython: _TestProcess.test_forkserver_sigint
TEST_F(HostFacts, TheServerSurvivesCtrlC) {
    Process first({.start_method = StartMethod::forkserver}, exit_with, 0);
    first.start();
    first.join();
    const pid_t server = Forkserver::shared()->pid();
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::kill(server, signal);
    Process second({.start_method = StartMethod::forkserver}, exit_with, 3);
    second.start();
    second.join();
    EXPECT_EQ(second.exitcode(), 3);
    EXPECT_EQ(Forkserver::shared()->pid(), server);
}

TEST_F(HostFacts, WhoExitsTellsItsCodeThoughTheServerIsGone) {
    for (const bool by_return : {false, true}) {
        Mailbox mailbox;
        mp::Event go;
        Process process(
            [](mp::serial::Handle to, mp::Event when, bool returns) {
                say(to, "ready");
                when.wait();
                if (!returns) std::exit(42);
            },
            mailbox.address(), go, by_return);
        process.start();
        EXPECT_EQ(mailbox.line(), "ready");
        const pid_t server = Forkserver::shared()->pid();
        ::kill(server, SIGKILL);
        ASSERT_TRUE(mp::test::eventually([&] { return !mp::test::is_running(server); }));
        go.set();
        process.join();
        EXPECT_EQ(process.exitcode(), by_return ? 0 : 42);
        EXPECT_FALSE(process.exit_status()->lost());
    }
}

// cpython: _TestProcess.test_forkserver_sigkill
TEST_F(HostFacts, AKilledServerCostsExitCodesAndNothingElse) {
    Mailbox mailbox;
    Process process(
        [](mp::serial::Handle to, mp::serial::Handle from) {
            say(to, "ready");
            char byte;
            static_cast<void>(!::read(from.fd(), &byte, 1));
            say(to, "finished");
        },
        mailbox.address(), [] {
            int ends[2];
            EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
            ::close(ends[1]);
            return mp::serial::Handle(ends[0]);
        }());
    Process sleeper(wait_for_ever, mailbox.address());
    sleeper.start();
    EXPECT_EQ(mailbox.line(), "ready");
    const pid_t server = Forkserver::shared()->pid();
    ::kill(server, SIGKILL);
    ASSERT_TRUE(mp::test::eventually([&] { return !mp::test::is_running(server); }));
    EXPECT_TRUE(sleeper.is_alive());
    EXPECT_FALSE(sleeper.join_for(20ms));

    process.start();  // starts another server
    EXPECT_NE(Forkserver::shared()->pid(), server);
    EXPECT_EQ(mailbox.line(), "ready");
    EXPECT_EQ(mailbox.line(), "finished");
    process.join();
    EXPECT_EQ(process.exitcode(), 0);

    EXPECT_TRUE(sleeper.is_alive());
    sleeper.terminate();
    sleeper.join();
    EXPECT_EQ(sleeper.exitcode(), 255);
    EXPECT_TRUE(sleeper.exit_status()->lost());
}

TEST_F(HostFacts, AServerKilledAgainAndAgainIsStartedAgain) {
    for (int i = 0; i < 10; ++i) {
        Process process({.start_method = i % 2 ? StartMethod::spawn : StartMethod::forkserver}, exit_with, i);
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), i);
        // The next start may meet it while it dies.
        ::kill(Forkserver::shared()->pid(), SIGKILL);
    }
}

TEST_P(HostProgram, MayForkWhileProcessesRun) {
    Mailbox mailbox;
    Process process(options(), wait_for_ever, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.line(), "ready");
    const auto method = GetParam();
    // One fork that exits with all its destructors, and one that uses the library itself.
    mp::test::Child leaves([&] { return process.is_alive() ? 1 : 0; });
    mp::test::Child works([&] {
        Process own({.start_method = method}, exit_with, 9);
        own.start();
        own.join();
        return own.exitcode().value_or(99);
    });
    EXPECT_EQ(leaves.wait(), 0);
    EXPECT_EQ(works.wait(), 9);
    EXPECT_TRUE(process.is_alive());
    process.terminate();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGTERM);
}

TEST_P(HostProgram, AForkThatLivesOnKeepsNothingAlive) {
    // The owner is a fork of this test; a fork of the owner outlives it.
    Mailbox mailbox;
    Event release;
    const auto method = GetParam();
    mp::test::Child owner([&] {
        auto* process = new Process({.start_method = method}, wait_for_ever, mailbox.address());
        process->start();
        if (::fork() == 0) {
            say(mailbox.address(), "fork");
            mailbox.give_away();
            release.wait();
            ::_exit(0);
        }
        for (;;) ::pause();
        return 0;
    });
    EXPECT_EQ((std::set{mailbox.line(), mailbox.line()}), (std::set<std::string>{"fork", "ready"}));
    owner.kill();
    owner.wait();
    EXPECT_EQ(mailbox.rest(2s), "");  // the fork lives, the process does not
    release.set();
}

TEST_P(HostProgram, ProcessesSurviveTheThreadThatStartedThem) {
    if (GetParam() == StartMethod::fork) GTEST_SKIP() << "not beside other threads";
    Forkserver::shut_down_shared();
    Mailbox mailbox;
    std::optional<Process> process;
    std::thread([&] {
        process.emplace(options(), wait_for_ever, mailbox.address());
        process->start();
    }).join();
    EXPECT_EQ(mailbox.line(), "ready");
    EXPECT_FALSE(process->join_for(20ms));
    EXPECT_TRUE(process->is_alive());
    process->terminate();
}

TEST_P(HostProgram, ThreadsMayStartProcessesAtOnce) {
    if (GetParam() == StartMethod::fork) GTEST_SKIP() << "not beside other threads";
    Forkserver::shut_down_shared();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&, i] {
            for (int round = 0; round < 5; ++round) {
                Process process(options(), exit_with, 10 * i + round);
                process.start();
                static_cast<void>(mp::active_children());
                process.join();
                EXPECT_EQ(process.exitcode(), 10 * i + round);
            }
        });
    for (auto& thread : threads) thread.join();
}

// What a program has that is killed: processes, and a grandchild that left its session.
void have_a_detached_grandchild(mp::serial::Handle to) {
    if (::fork() == 0) {
        ::setsid();
        wait_for_ever(to);
    }
    wait_for_ever(to);
}
int be_an_owner(mp::serial::Handle to, StartMethod method) {
    std::vector<Process> processes;
    for (int i = 0; i < 3; ++i) processes.emplace_back(mp::ProcessOptions{.start_method = method}, have_a_detached_grandchild, to);
    for (auto& process : processes) process.start();
    say(to, "server " + std::to_string(method == StartMethod::fork ? 0 : Forkserver::shared()->pid()));
    wait_for_ever(to);
    return 0;
}

// cpython: _TestProcess.test_parent_process (there a child survives its killed parent; here it ends with it)
TEST_P(HostProgram, NothingOutlivesAKilledOwner) {
    Mailbox mailbox;
    mp::test::Child owner([&] {
        mp::serial::Handle to = mailbox.address();
        mailbox.give_away();
        return be_an_owner(to, GetParam());
    });
    for (int i = 0; i < 8; ++i) EXPECT_NE(mailbox.line(), "");
    owner.kill();
    owner.wait();
    mailbox.rest(2s);
}

void have_a_nested_process(mp::serial::Handle to) {
    Process inner(wait_for_ever, to);
    inner.start();
    wait_for_ever(to);
}

TEST_F(HostFacts, NothingOutlivesAnOwnerWhoseServerIsKilledToo) {
    Mailbox mailbox;
    mp::test::Child owner([&] {
        mp::serial::Handle to = mailbox.address();
        mailbox.give_away();
        Process first(wait_for_ever, to);
        Process second(have_a_nested_process, to);
        first.start();
        second.start();
        say(to, std::to_string(Forkserver::shared()->pid()));
        wait_for_ever(to);
        return 0;
    });
    pid_t server = 0;
    for (int i = 0; i < 5; ++i)
        if (const auto line = mailbox.line(); line != "ready") server = std::atoi(line.c_str());
    ASSERT_GT(server, 0);
    ::kill(server, SIGKILL);
    owner.kill();
    owner.wait();
    mailbox.rest(2s);
}

}  // namespace
