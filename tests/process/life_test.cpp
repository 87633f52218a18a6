// From start to end: names, states, joins, signals, sentinels, close.
#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/queues.hpp>

#include <csignal>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>

#include "process/mailbox.hpp"

namespace {

using namespace std::chrono_literals;
using mp::Process;
using mp::test::ByMethod;
using mp::test::Mailbox;
using mp::test::say;
using mp::test::wait_for_ever;
using ::testing::HasSubstr;

class ProcessLife : public ByMethod {};
MP_EVERY_START_METHOD(ProcessLife);
using ProcessFacts = mp::test::LeakCheck;

// cpython: _TestProcess.test_current (the authentication key belongs to Listener and Client)
TEST_F(ProcessFacts, TheMainProcessIsAliveAndNoDaemon) {
    const auto current = mp::current_process();
    EXPECT_TRUE(current.is_alive());
    EXPECT_FALSE(current.daemon());
    EXPECT_EQ(current.pid(), ::getpid());
    EXPECT_EQ(current.exitcode(), std::nullopt);
    EXPECT_EQ(current.name(), "MainProcess");
}

// cpython: _TestProcess.test_cpu_count
TEST_F(ProcessFacts, ThereIsACpu) { EXPECT_GE(mp::cpu_count(), 1U); }

void nothing() {}

// cpython: _TestProcess.test_daemon_argument
TEST_F(ProcessFacts, DaemonDefaultsToTheCreatorsAndAnExplicitValueWins) {
    EXPECT_FALSE(Process(nothing).daemon());
    EXPECT_TRUE(Process({.daemon = true}, nothing).daemon());
    EXPECT_FALSE(Process({.daemon = false}, nothing).daemon());
}

void tell_daemon_defaults(mp::serial::Handle to) {
    say(to, std::string(mp::current_process().daemon() ? "daemon " : "plain ") +
                (Process(nothing).daemon() ? "daemon " : "plain ") +
                (Process({.daemon = false}, nothing).daemon() ? "daemon" : "plain"));
}

TEST_P(ProcessLife, DaemonIsInherited) {
    Mailbox mailbox;
    Process process({.daemon = true, .start_method = GetParam()}, tell_daemon_defaults, mailbox.address());
    process.start();
    process.join();
    EXPECT_EQ(mailbox.line(), "daemon daemon plain");
}

void tell_about_self(mp::serial::Handle to, int number, std::string text) {
    const auto current = mp::current_process();
    say(to, current.name() + ' ' + std::to_string(current.pid() == ::getpid()) + ' ' + std::to_string(number) + ' ' + text);
    say(to, std::to_string(::getpid()));
    wait_for_ever(to);
}

// cpython: _TestProcess.test_process, _TestProcess.test_active_children
TEST_P(ProcessLife, GoesThroughItsStatesInOrder) {
    Mailbox mailbox;
    Process process(options("worker"), tell_about_self, mailbox.address(), 42, std::string("hello"));
    EXPECT_FALSE(process.is_alive());
    EXPECT_EQ(process.exitcode(), std::nullopt);
    EXPECT_EQ(process.pid(), std::nullopt);
    EXPECT_TRUE(mp::active_children().empty());
    EXPECT_EQ(process.name(), "worker");

    process.start();
    EXPECT_TRUE(process.is_alive());
    EXPECT_EQ(process.exitcode(), std::nullopt);
    const auto active = mp::active_children();
    ASSERT_EQ(active.size(), 1U);
    EXPECT_EQ(active[0].pid(), process.pid());
    EXPECT_EQ(mailbox.line(), "worker 1 42 hello");
    EXPECT_EQ(mailbox.line(), std::to_string(process.pid().value()));
    EXPECT_EQ(mailbox.line(), "ready");
    EXPECT_THROW(process.start(), mp::Error) << "only once";

    process.terminate();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGTERM);
    EXPECT_FALSE(process.is_alive());
    EXPECT_TRUE(mp::active_children().empty());
    EXPECT_THROW(process.start(), mp::Error) << "only once";
}

TEST_P(ProcessLife, EndsWithZeroWhenItsTargetReturns) {
    Process process(options(), nothing);
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_TRUE(process.exit_status()->success());
    EXPECT_FALSE(process.error());
}

void tell_thread_id(mp::serial::Handle to) { say(to, std::to_string(::gettid()) + ' ' + std::to_string(::getpid())); }

// cpython: _TestProcess.test_process_mainthread_native_id
TEST_P(ProcessLife, RunsItsTargetInItsOwnMainThread) {
    Mailbox mailbox;
    Process process(options(), tell_thread_id, mailbox.address());
    process.start();
    const std::string pid = std::to_string(process.pid().value());
    EXPECT_EQ(mailbox.line(), pid + ' ' + pid);
    process.join();
}

// cpython: _TestProcess.test_terminate, _TestProcess.test_kill, _TestProcess.test_interrupt_no_handler,
// _TestProcess.test_interrupt (an uncaught KeyboardInterrupt is Python's alone: here it is -SIGINT)
TEST_P(ProcessLife, EndsBySignalWithItsNegativeNumber) {
    for (const int signal : {SIGTERM, SIGKILL, SIGINT}) {
        Mailbox mailbox;
        Process process(options(), wait_for_ever, mailbox.address());
        process.start();
        EXPECT_EQ(mailbox.line(), "ready");
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_FALSE(process.join_for(0s));
        EXPECT_FALSE(process.join_for(-1s));
        EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
        EXPECT_TRUE(process.is_alive());
        if (signal == SIGTERM) process.terminate();
        else if (signal == SIGKILL) process.kill();
        else process.interrupt();
        process.join();
        process.join();
        EXPECT_TRUE(process.join_for(0s));
        EXPECT_FALSE(process.is_alive());
        EXPECT_EQ(process.exitcode(), -signal);
        EXPECT_EQ(process.exit_status()->signal(), signal);
        process.terminate();  // without effect after the end
    }
}

// cpython: _TestProcess.test_sentinel
TEST_P(ProcessLife, SentinelIsReadableOnceItHasEnded) {
    Mailbox mailbox;
    Process process(options(), wait_for_ever, mailbox.address());
    EXPECT_THROW(static_cast<void>(process.sentinel()), mp::Error);
    process.start();
    EXPECT_EQ(mailbox.line(), "ready");
    const int sentinel = process.sentinel();
    EXPECT_FALSE(mp::test::is_readable(sentinel));
    process.kill();
    pollfd entry{sentinel, POLLIN, 0};
    EXPECT_EQ(mp::os::retry([&] { return ::poll(&entry, 1, 30'000); }), 1);
    EXPECT_EQ(process.exitcode(), -SIGKILL) << "the sentinel speaks when the exit code is there";
    EXPECT_TRUE(mp::test::is_readable(process.sentinel())) << "and stays readable";
}

// cpython: _TestProcess.test_close
TEST_P(ProcessLife, CloseIsRefusedWhileItRunsAndLeavesNothingToAsk) {
    Mailbox mailbox;
    Process process(options("closing"), wait_for_ever, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.line(), "ready");
    EXPECT_THROW(process.close(), mp::Error);
    process.kill();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGKILL);
    process.close();
    process.close();
    EXPECT_THROW(static_cast<void>(process.is_alive()), mp::Error);
    EXPECT_THROW(static_cast<void>(process.exitcode()), mp::Error);
    EXPECT_THROW(static_cast<void>(process.pid()), mp::Error);
    EXPECT_THROW(static_cast<void>(process.sentinel()), mp::Error);
    EXPECT_THROW(process.join(), mp::Error);
    EXPECT_THROW(process.terminate(), mp::Error);
    EXPECT_THROW(process.start(), mp::Error);
    std::ostringstream text;
    text << process;
    EXPECT_THAT(text.str(), HasSubstr("closed"));
}

TEST_F(ProcessFacts, OperationsBeforeStartAreErrorsThatNameTheProcess) {
    Process process({.name = "never"}, nothing);
    EXPECT_THROW(process.join(), mp::Error);
    EXPECT_THROW(process.kill(), mp::Error);
    try {
        process.terminate();
        ADD_FAILURE();
    } catch (const mp::Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("\"never\""));
    }
}

TEST_P(ProcessLife, PrintsAsInPython) {
    Mailbox mailbox;
    Process process(options("upper half"), wait_for_ever, mailbox.address());
    auto text = [&] {
        std::ostringstream out;
        out << process;
        return out.str();
    };
    const std::string parent = " parent=" + std::to_string(::getpid());
    EXPECT_EQ(text(), "<Process name='upper half'" + parent + " initial>");
    process.start();
    const std::string pid = " pid=" + std::to_string(*process.pid());
    EXPECT_EQ(text(), "<Process name='upper half'" + pid + parent + " started>");
    process.kill();
    process.join();
    EXPECT_EQ(text(), "<Process name='upper half'" + pid + parent + " stopped exitcode=-9>");
}

// cpython: _TestProcess.test_many_processes
TEST_P(ProcessLife, AHundredShortAndAHundredKilledOnesAllTellTheTruth) {
    const int count = GetParam() == mp::StartMethod::forkserver ? 100 : 20;
    std::vector<Process> processes;
    for (int i = 0; i < count; ++i) processes.emplace_back(options(), nothing);
    for (auto& process : processes) process.start();
    for (auto& process : processes) process.join();
    for (auto& process : processes) EXPECT_EQ(process.exitcode(), 0);
    processes.clear();

    Mailbox mailbox;
    for (int i = 0; i < count; ++i) processes.emplace_back(options(), wait_for_ever, mailbox.address());
    for (auto& process : processes) process.start();
    EXPECT_EQ(mp::active_children().size(), processes.size());
    for (auto& process : processes) process.terminate();
    for (auto& process : processes) process.join();
    for (auto& process : processes) EXPECT_EQ(process.exitcode(), -SIGTERM);
}

void wait_until_told(mp::serial::Handle to) {
    say(to, "ready");
    while (!mp::stop_token().wait_for(1h)) {}
    say(to, "stopped in order");
}

TEST_P(ProcessLife, TheDestructorAsksItToStopAndJoins) {
    Mailbox mailbox;
    {
        Process process(options(), wait_until_told, mailbox.address());
        process.start();
        EXPECT_EQ(mailbox.line(), "ready");
    }
    EXPECT_EQ(mailbox.rest(), "stopped in order\n");
}

TEST_P(ProcessLife, TheDestructorOfADaemonTerminatesIt) {
    Mailbox mailbox;
    {
        Process process({.daemon = true, .start_method = GetParam()}, wait_for_ever, mailbox.address());
        process.start();
        EXPECT_EQ(mailbox.line(), "ready");
    }
    EXPECT_EQ(mailbox.rest(), "");
}

TEST_P(ProcessLife, AMoveKeepsTheProcess) {
    Mailbox mailbox;
    Process first(options(), wait_for_ever, mailbox.address());
    first.start();
    Process second(std::move(first));
    EXPECT_TRUE(second.is_alive());
    Process third(options(), wait_until_told, mailbox.address());
    third.start();
    EXPECT_EQ(mailbox.line(), "ready");
    EXPECT_EQ(mailbox.line(), "ready");
    second.kill();
    second = std::move(third);  // gives up the one it had: dead already
    EXPECT_TRUE(second.is_alive());
    second.request_stop();
    second.join();
    EXPECT_EQ(second.exitcode(), 0);
}

TEST_P(ProcessLife, AHandleOutlivesTheObject) {
    std::vector<mp::ProcessHandle> active;
    {
        Mailbox mailbox;
        Process process(options("watched"), wait_until_told, mailbox.address());
        process.start();
        active = mp::active_children();
        ASSERT_EQ(active.size(), 1U);
    }
    EXPECT_EQ(active[0].exitcode(), 0);
    EXPECT_EQ(active[0].name(), "watched");
}

TEST_F(ProcessFacts, TheMainProcessIsNeverAskedToStop) {
    EXPECT_FALSE(mp::stop_token().stop_requested());
    EXPECT_FALSE(mp::stop_token().wait_for(5ms));
    EXPECT_FALSE(mp::stop_token().wait_for(-1s));
}

void tell_about_parent(mp::serial::Handle to) {
    const auto parent = mp::parent_process();
    say(to, parent ? parent->name() + ' ' + std::to_string(parent->pid()) + (parent->is_alive() ? " alive" : " gone") : "none");
}
void start_one_more(mp::serial::Handle to, mp::StartMethod method) {
    Process process({.start_method = method}, tell_about_parent, to);
    process.start();
    process.join();
    say(to, process.name());
}

// cpython: _TestProcess.test_parent_process_attributes, _TestProcess.test_parent_process
// (a child whose parent was killed is killed as well, so none ever sees "not alive": see host_test.cpp)
TEST_P(ProcessLife, KnowsItsParent) {
    EXPECT_FALSE(mp::parent_process());
    Mailbox mailbox;
    Process process(options(), tell_about_parent, mailbox.address());
    process.start();
    process.join();
    EXPECT_EQ(mailbox.line(), "MainProcess " + std::to_string(::getpid()) + " alive");

    Process outer(options("outer"), start_one_more, mailbox.address(), GetParam());
    outer.start();
    outer.join();
    EXPECT_EQ(mailbox.line(), "outer " + std::to_string(*outer.pid()) + " alive");
    EXPECT_THAT(mailbox.line(), HasSubstr("Process-"));
}

void recurse(mp::serial::Handle to, std::string path, mp::StartMethod method) {
    say(to, path);
    if (path.size() == 4) return;
    for (const char digit : {'0', '1'}) {
        Process process({.start_method = method}, recurse, to, path + digit + ' ', method);
        process.start();
        process.join();
        if (process.exitcode() != 0) say(to, "failed");
    }
}

// cpython: _TestProcess.test_recursion
TEST_P(ProcessLife, ProcessesStartProcesses) {
    Mailbox mailbox;
    Process process(options(), recurse, mailbox.address(), std::string(), GetParam());
    process.start();
    process.join();
    EXPECT_EQ(mailbox.rest(), "\n0 \n0 0 \n0 1 \n1 \n1 0 \n1 1 \n");
}

TEST_P(ProcessLife, ManyThreadsMayWatchTheSameProcess) {
    Mailbox mailbox;
    Process process(options(), wait_for_ever, mailbox.address());
    process.start();
    EXPECT_EQ(mailbox.line(), "ready");
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            process.join();
            EXPECT_EQ(process.exitcode(), -SIGKILL);
        });
    process.kill();
    for (auto& thread : threads) thread.join();
}

void tell_start_method(mp::serial::Handle to) { say(to, std::string(to_string(mp::get_start_method()))); }

// cpython: TestStartMethod.test_set_get, TestStartMethod.test_context,
// TestStartMethod.test_spawn_dont_set_context (an option for one process leaves the default alone)
TEST_P(ProcessLife, TheDefaultMethodIsInheritedAndAnOptionDoesNotChangeIt) {
    Mailbox mailbox;
    ASSERT_EQ(mp::get_start_method(), mp::StartMethod::forkserver);
    {
        Process process(options(), tell_start_method, mailbox.address());
        process.start();
    }
    EXPECT_EQ(mailbox.line(), "forkserver");
    EXPECT_EQ(mp::get_start_method(), mp::StartMethod::forkserver);
    mp::set_start_method(GetParam());
    {
        Process process(tell_start_method, mailbox.address());
        process.start();
    }
    mp::set_start_method(mp::StartMethod::forkserver);
    EXPECT_EQ(mailbox.line(), to_string(GetParam()));
}

void put(mp::Queue<int> queue, int number) { queue.put(number); }

void have_another_put(mp::Queue<int> queue, mp::StartMethod method) {
    Process next({.start_method = method}, put, queue, 1);
    next.start();
    next.join();
    queue.put(2);
}

// cpython: TestStartMethod.test_nested_startmethod
TEST_P(ProcessLife, AQueuePassesThroughTwoGenerations) {
    for (const auto method : mp::get_all_start_methods()) {
        SCOPED_TRACE(to_string(method));
        mp::Queue<int> queue;
        Process process(options(), have_another_put, queue, method);
        process.start();
        EXPECT_EQ(queue.get_for(60s), 1);
        EXPECT_EQ(queue.get_for(60s), 2);
        process.join();
        EXPECT_EQ(process.exitcode(), 0);
    }
}

// cpython: TestStartMethod.test_get_all_start_methods
TEST_F(ProcessFacts, TheFirstStartMethodIsTheDefaultAndNotFork) {
    EXPECT_EQ(mp::get_all_start_methods().front(), mp::get_start_method());
    EXPECT_NE(mp::get_start_method(), mp::StartMethod::fork);
    EXPECT_EQ(mp::get_all_start_methods().size(), 3U);
}

}  // namespace
