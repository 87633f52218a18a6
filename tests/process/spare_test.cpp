// The process that a fork server keeps in advance: that it is taken, that nobody could tell, and what ends it.
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <span>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>

#include "os/pidfd.hpp"
#include "os/socket.hpp"
#include "process/mailbox.hpp"
#include "support/child.hpp"
#include "support/event.hpp"
#include "support/resource_limit.hpp"
#include "support/sanitizers.hpp"

namespace {

using namespace std::chrono_literals;
using mp::Process;
using mp::StartMethod;
using mp::process::Forkserver;
using mp::test::Mailbox;
using mp::test::say;

class Spares : public mp::test::LeakCheck {};

std::string name_of(pid_t pid) {
    std::string name;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
    return name;
}

// That of a server; 0: it has none. Not one of `others`.
pid_t spare_of(pid_t server, std::vector<pid_t> others = {}) {
    const std::string id = std::to_string(server);
    std::ifstream children("/proc/" + id + "/task/" + id + "/children");
    for (pid_t pid; children >> pid;)
        if (!std::ranges::count(others, pid) && name_of(pid) == "mp-spare" && mp::test::is_running(pid)) return pid;
    return 0;
}
pid_t server() { return Forkserver::shared()->pid(); }
pid_t spare(const std::vector<pid_t>& others = {}) {
    pid_t found = 0;
    // Not a 0 that somebody then sends a signal to.
    if (!mp::test::eventually([&] { return (found = spare_of(server(), others)) != 0; }))
        throw std::runtime_error("no spare");
    return found;
}

pid_t run(StartMethod method, int code = 0) {
    Process process({.start_method = method}, [](int with) { std::exit(with); }, code);
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), code);
    return process.pid().value();
}
pid_t run_one(int code = 0) { return run(StartMethod::forkserver, code); }

TEST_F(Spares, TheNextProcessIsTheOneInAdvance) {
    run_one();
    for (int code = 1; code < 4; ++code) {
        const pid_t expected = spare();
        EXPECT_EQ(run_one(code), expected);
    }
    EXPECT_TRUE(mp::active_children().empty());
}

TEST_F(Spares, AServerThatStartedNothingHasNone) {
    run(StartMethod::spawn);
    EXPECT_EQ(spare_of(server()), 0);
}

char state_of(pid_t pid) {
    std::string text;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), text);
    const auto end = text.rfind(')');
    return end == text.npos ? 'X' : text.at(end + 2);
}

TEST_F(Spares, OneThatIsKilledIsNotUsed) {
    run_one();
    for (const int signal : {SIGKILL, SIGTERM, SIGINT, SIGALRM, SIGUSR1}) {
        const pid_t lost = spare();
        const auto end = mp::os::open_pidfd(lost);
        ASSERT_TRUE(end);
        ::kill(lost, signal);
        // Of all its threads: a sanitizer has one of its own.
        const auto ended = mp::os::wait_readable(end->get(), mp::base::Deadline::after(60s));
        ASSERT_TRUE(ended && *ended) << signal;
        EXPECT_NE(run_one(7), lost) << signal;
    }
}

// It would let its owner wait for ever for a process that does not begin.
TEST_F(Spares, OneThatIsStoppedGoesOn) {
    for (const int signal : {SIGSTOP, SIGTSTP}) {
        run_one();
        const pid_t stopped = spare();
        ::kill(stopped, signal);
        run_one(7);
        EXPECT_TRUE(mp::test::eventually([&] { return state_of(stopped) != 'T'; })) << signal;
    }
}

// By its owner, as soon as it knows the process.
TEST_F(Spares, OneThatIsStoppedAsAProcessStaysSo) {
    for (int round = 0; round < 30; ++round) {
        run_one();
        const pid_t next = spare();
        Mailbox mailbox;
        Process process(mp::test::wait_for_ever, mailbox.address());
        process.start();
        ::kill(process.pid().value(), SIGSTOP);
        ASSERT_EQ(process.pid(), next);
        ASSERT_TRUE(mp::test::eventually([&] { return state_of(next) == 'T'; })) << round;
        run_one(1);
        EXPECT_EQ(state_of(next), 'T') << round;
        process.kill();
        process.join();
    }
}

TEST_F(Spares, OneThatIsKilledAtAnyTimeOfAStartIsAKilledProcessOrNone) {
    run_one();
    std::minstd_rand random(1);
    for (int round = 0; round < 100; ++round) {
        const pid_t victim = spare();
        Mailbox mailbox;
        Process process([](mp::serial::Handle to) { say(to, "ran"); }, mailbox.address());
        std::thread killer([&, pause = random() % 400] {
            std::this_thread::sleep_for(std::chrono::microseconds(pause));
            ::kill(victim, SIGKILL);  // not reaped before the process object is joined, or one of no use to anybody
        });
        process.start();
        killer.join();
        process.join();
        const int code = process.exitcode().value();
        const std::string said = mailbox.rest();
        if (code == 0)
            EXPECT_EQ(said, "ran\n") << round;
        else
            EXPECT_TRUE(code == -SIGKILL && process.pid() == victim) << round << ' ' << code;
    }
}

// Its offer comes a little later than it is there.
std::optional<mp::process::Offer> take_spare() {
    std::optional<mp::process::Offer> offer;
    if (!mp::test::eventually([&] { return bool(offer = Forkserver::shared()->take_spare()); }))
        throw std::runtime_error("no offer of a spare");
    return offer;
}

// One that was stopped before it took its order, and then killed: the next at the same socket is not it, and what the
// order held is let go of.
TEST_F(Spares, AnOrderForOneThatHasEndedIsNobodys) {
    for (int round = 0; round < 4; ++round) {
        run_one();
        const auto forkserver = Forkserver::shared();
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        const mp::os::UniqueFd reader(ends[0]);
        pid_t ended = 0;
        {
            const mp::os::UniqueFd writer(ends[1]);
            const auto offer = take_spare();
            ::kill(offer->pid, SIGSTOP);
            ASSERT_TRUE(mp::test::eventually([&] { return state_of(offer->pid) == 'T'; }));
            const mp::process::wire::Spawn order{.spare = offer->number};
            ASSERT_TRUE(forkserver->give(*offer, std::as_bytes(std::span(&order, 1)), std::array{writer.get()}, {}));
            ::kill(ended = offer->pid, SIGKILL);
            ASSERT_TRUE(mp::test::eventually([&] { return offer->has_ended(); }));
        }
        pollfd end{reader.get(), 0, 0};
        if (round % 2) {
            // Asked for a process instead, as it is by an owner whose spare has ended, the server lets go of it, also
            // if there is another spare by now.
            spare({ended});
            const mp::process::wire::Spawn request{.flags = mp::process::wire::Spawn::or_spare};
            const auto answer = forkserver->spawn(std::as_bytes(std::span(&request, 1)), {}, {});
            EXPECT_TRUE(answer && answer->pid == 0);
        } else {
            for (const int code : {4, 5}) {
                spare();
                EXPECT_NE(run_one(code), 0);
            }
        }
        // By the server, or by a spare that waits there already.
        ASSERT_EQ(::poll(&end, 1, 60'000), 1) << round;
    }
}

// While one has its order and does not take it, the next one is killed: the one after that must not wait where it does.
TEST_F(Spares, NoOtherWaitsWhereOneHasNotTakenItsOrder) {
    run_one();
    const auto forkserver = Forkserver::shared();
    const auto slow = take_spare();
    ::kill(slow->pid, SIGSTOP);
    ASSERT_TRUE(mp::test::eventually([&] { return state_of(slow->pid) == 'T'; }));
    const mp::process::wire::Spawn malformed{.spare = slow->number};  // it ends when it sees that
    ASSERT_TRUE(forkserver->give(*slow, std::as_bytes(std::span(&malformed, 1)), {}, {}));
    const pid_t next = spare({slow->pid});
    ::kill(next, SIGKILL);
    std::thread([] { run_one(2); }).join();  // it is not this one's turn to take a spare
    spare({slow->pid, next});
    ::kill(slow->pid, SIGCONT);
    EXPECT_TRUE(mp::test::eventually([&] { return slow->has_ended(); }));
}

TEST_F(Spares, AServerThatIsKilledAtAnyTimeOfAStartStartsNothingTwice) {
    std::minstd_rand random(2);
    for (int round = 0; round < 60; ++round) {
        run_one();
        if (round % 4) spare();
        const pid_t victim = server();
        const auto end = mp::os::open_pidfd(victim);
        ASSERT_TRUE(end);
        Mailbox mailbox;
        Process process([](mp::serial::Handle to) { say(to, "ran"); }, mailbox.address());
        std::thread killer([&, pause = random() % 400] {
            std::this_thread::sleep_for(std::chrono::microseconds(pause));
            ::kill(victim, SIGKILL);
        });
        process.start();
        killer.join();
        process.join();
        EXPECT_EQ(process.exitcode(), 0) << round;
        EXPECT_EQ(mailbox.rest(), "ran\n") << round;
        // So that the next round is one of another server.
        const auto ended = mp::os::wait_readable(end->get(), mp::base::Deadline::after(60s));
        ASSERT_TRUE(ended && *ended) << round;
    }
}

TEST_F(Spares, NoneOutlivesItsServer) {
    run_one();
    const pid_t left = spare();
    ::kill(server(), SIGKILL);
    EXPECT_TRUE(mp::test::eventually([&] { return !mp::test::is_running(left); }));
}

TEST_F(Spares, NoneOutlivesItsOwner) {
    Mailbox mailbox;
    mp::test::Child owner([&] {
        run_one();
        say(mailbox.address(), std::to_string(spare()));
        for (;;) ::pause();
        return 0;
    });
    const pid_t left = std::stoi(mailbox.line());
    EXPECT_TRUE(mp::test::is_running(left));
    owner.kill();
    owner.wait();
    EXPECT_TRUE(mp::test::eventually([&] { return !mp::test::is_running(left); }));
}

TEST_F(Spares, ItHoldsNothingOfTheProcessesBesideIt) {
    run_one();
    Mailbox mailbox;
    Process process(mp::test::wait_for_ever, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.line(), "ready");
    const std::string of_spare = "/proc/" + std::to_string(spare()) + "/fd";
    EXPECT_TRUE(mp::test::eventually([&] {
        const std::filesystem::directory_iterator open(of_spare);
        return std::distance(begin(open), end(open)) == 6;
    })) << "its streams, the socket that it waits at, its lifeline and its server";
    process.kill();
    process.join();
    EXPECT_EQ(mailbox.rest(), "") << "with the spare, and its server, still there";
    EXPECT_NE(spare_of(server()), 0);
}

// What a program could ask of itself, but for its number and what it has used.
void tell_everything(mp::serial::Handle to) {
    std::ostringstream out;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        for (const char* key : {"Name",   "Umask",      "State",   "PPid",   "TracerPid", "Uid",     "Gid",
                                "Groups", "Threads",    "SigPnd",  "ShdPnd", "SigBlk",    "SigIgn",  "SigCgt",
                                "Cap",    "NoNewPrivs", "Seccomp", "Cpus",   "Mems",      "Kthread", "NStgid_"})
            if (line.starts_with(key)) out << line << ';';
    out << ::getpgrp() << ' ' << ::getsid(0) << ' ' << ::getpriority(PRIO_PROCESS, 0) << ' ' << ::sched_getscheduler(0)
        << ' ' << ::prctl(PR_GET_PDEATHSIG, 0) << ::prctl(PR_GET_DUMPABLE) << ::prctl(PR_GET_TIMERSLACK) << ';';
    for (const char* file :
         {"/proc/self/limits", "/proc/self/cgroup", "/proc/self/oom_score_adj", "/proc/self/cmdline"}) {
        std::ifstream in(file);
        out << in.rdbuf() << ';';
    }
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction action{};
        ::sigaction(signal, nullptr, &action);
        out << reinterpret_cast<void*>(action.sa_handler) << action.sa_flags << ',';
    }
    for (int fd = 0; fd < 3; ++fd) out << ::fcntl(fd, F_GETFD) << ::fcntl(fd, F_GETFL) << ',';
    int open = 0;
    for (int fd = 3; fd < 256; ++fd) open += ::fcntl(fd, F_GETFD) >= 0;
    for (char** entry = environ; *entry; ++entry) out << *entry << ',';
    out << " open " << open;
    std::string text = out.str();
    std::ranges::replace(text, '\n', ' ');
    say(to, text);
}

TEST_F(Spares, NobodyCanTellItFromAForkedProcess) {
    MP_SKIP_UNDER_SANITIZERS("their own descriptors and threads come and go");
    const auto everything = [] {
        Mailbox mailbox;
        Process process({.name = "somebody"}, tell_everything, mailbox.address());
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), 0);
        return std::pair(process.pid(), mailbox.line());
    };
    Forkserver::shut_down_shared();
    const auto forked = everything();
    const pid_t next = spare();
    const auto taken = everything();
    EXPECT_EQ(taken.first, next);
    EXPECT_THAT(forked.second, ::testing::HasSubstr("SigBlk:\t0000000000000000"));
    EXPECT_EQ(taken.second, forked.second);
}

void tell_inheritance(mp::serial::Handle to) {
    rlimit files{}, core{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    ::getrlimit(RLIMIT_CORE, &core);
    cpu_set_t processors{};
    ::sched_getaffinity(0, sizeof processors, &processors);
    say(to, std::to_string(files.rlim_cur) + ' ' + std::to_string(core.rlim_cur) + ' ' +
                std::to_string(::getpriority(PRIO_PROCESS, 0)) + ' ' + std::to_string(CPU_COUNT(&processors)));
}

TEST_F(Spares, WhatItsServerWasGivenMeanwhileIsInherited) {
    Forkserver::shut_down_shared();
    run_one();
    const auto told = [] {
        EXPECT_NE(spare(), 0);
        Mailbox mailbox;
        Process process(tell_inheritance, mailbox.address());
        process.start();
        return mailbox.line();
    };
    rlimit files{};
    ASSERT_EQ(::prlimit(server(), RLIMIT_NOFILE, nullptr, &files), 0);
    files.rlim_cur = 123;
    ASSERT_EQ(::prlimit(server(), RLIMIT_NOFILE, &files, nullptr), 0);
    EXPECT_THAT(told(), ::testing::StartsWith("123 "));
    ASSERT_EQ(::setpriority(PRIO_PROCESS, static_cast<id_t>(server()), 11), 0);
    EXPECT_THAT(told(), ::testing::HasSubstr(" 11 "));
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &first);
    ASSERT_EQ(::sched_setaffinity(server(), sizeof first, &first), 0);
    EXPECT_THAT(told(), ::testing::EndsWith(" 1"));
}

// Those of a server with other user ids than its owner, which could not have a spare otherwise.
TEST_F(Spares, LimitsThatMayNotBeLookedAtCountAsUnchanged) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs a user of its own";
    mp::test::Child user([] {
        using mp::process::Inheritance;
        const pid_t other = ::getppid();
        rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files);
        --files.rlim_cur;
        if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return 1;
        if (Inheritance::of(0) == Inheritance::of(other)) return 2;
        constexpr uid_t nobody_else = 64323;
        if (::setgroups(0, nullptr) != 0 || ::setgid(nobody_else) != 0 || ::setuid(nobody_else) != 0) return 3;
        if (!(Inheritance::of(0) == Inheritance::of(other))) return 4;
        if (::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + 1) != 0) return 5;
        return Inheritance::of(0) == Inheritance::of(other) ? 6 : 0;
    });
    EXPECT_EQ(user.wait(), 0);
}

void ignore_it(int) {}

// One that ends a spare may find it when its owner gives it an order.
TEST_F(Spares, ASignalToTheWholeGroupIsNotForWhatIsStartedLater) {
    mp::test::Child owner([] {
        ::setpgid(0, 0);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGTSTP, SIGWINCH}) {
            ::signal(signal, ignore_it);
            for (int round = 0; round < 5; ++round) {
                run_one();
                spare();
                ::kill(0, signal);
                run_one(3);
            }
            if (testing::Test::HasFailure()) return signal;
        }
        return 0;
    });
    EXPECT_EQ(owner.wait(), 0);
}

void count_it(int) {}
constexpr const char* handler_wanted = "MP_TEST_SPARE_HANDLER";
// In the server, an executed copy of this program.
[[maybe_unused]] const bool has_handler = std::getenv(handler_wanted) && ::signal(SIGUSR2, count_it) != SIG_ERR;

// A handler would run, or a signal be left to it, before there is a process.
TEST_F(Spares, AProgramWhoseInitialisersHandleSignalsHasNone) {
    ::setenv(handler_wanted, "1", 1);
    Forkserver::shut_down_shared();
    run_one();
    ::unsetenv(handler_wanted);
    run(StartMethod::spawn);  // which the server does after what it made of the first
    EXPECT_EQ(spare_of(server()), 0);
    run_one(5);
    Forkserver::shut_down_shared();
}

TEST_F(Spares, OneIsForTheStartThatComesFirst) {
    run_one();
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&, i] {
            for (int round = 0; round < 25; ++round) {
                const auto method = i == 0 ? StartMethod::spawn : StartMethod::forkserver;
                const int code = 1 + i * 25 + round;
                Process process({.start_method = method}, [](int with) { std::exit(with); }, code);
                process.start();
                process.join();
                if (process.exitcode() != code) ++wrong;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
}

// The owner's limit is met while it takes the offer, gives the order, or waits.
TEST_F(Spares, AnOwnerWithoutDescriptorsUsesItOrSaysSo) {
    MP_SKIP_UNDER_SANITIZERS("their own checks need descriptors");
    int failures = 0;
    for (int more = 0; more < 30; ++more) {
        run_one();
        spare();
        Process process([] { std::exit(4); });
        try {
            const mp::test::ResourceLimit limit(RLIMIT_NOFILE,
                                                static_cast<rlim_t>(mp::test::lowest_free_descriptor() + more));
            process.start();
        } catch (const mp::SystemError& error) {
            ++failures;
            EXPECT_TRUE(error.code() == std::errc::too_many_files_open) << error.what();
            continue;
        }
        process.join();
        EXPECT_EQ(process.exitcode(), 4);
    }
    EXPECT_GE(failures, 4);
    EXPECT_LT(failures, 25);
}

TEST_F(Spares, ItMakesRoomForTheLastProcessThatCanBeHad) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs a user of its own";
    MP_SKIP_UNDER_SANITIZERS("their own threads count, too");
    mp::test::Child user([] {
        constexpr uid_t nobody_else = 64322;
        if (::setgroups(0, nullptr) != 0 || ::setgid(nobody_else) != 0 || ::setuid(nobody_else) != 0) return 2;
        ::prctl(PR_SET_DUMPABLE, 1);  // or its own /proc/self/exe is not readable
        run_one();
        spare();
        const rlimit three{3, 3};  // this process, the server and one more
        if (::prlimit(server(), RLIMIT_NPROC, &three, nullptr) != 0) return 3;
        run(StartMethod::spawn, 5);
        run_one(6);
        run_one(7);
        return testing::Test::HasFailure() ? 4 : 0;
    });
    EXPECT_EQ(user.wait(), 0);
}

}  // namespace
