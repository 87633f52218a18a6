// Targets that exist only in the caller's memory: closures, classes with run(). They run in a snapshot of the caller.
#include <multiprocessing/sharedctypes.hpp>

#include <sys/mman.h>

#include <fstream>
#include <numeric>
#include <thread>

#include <gmock/gmock.h>

#include "process/mailbox.hpp"
#include "support/event.hpp"

namespace {

using mp::Process;
using mp::test::Event;
using mp::test::Mailbox;
using mp::test::say;
using ::testing::Contains;
using ::testing::HasSubstr;

using Snapshot = mp::test::LeakCheck;

TEST_F(Snapshot, AClosureSeesTheCallersMemoryAndItsChangesStayInTheChild) {
    std::vector<int> numbers(1000);
    std::iota(numbers.begin(), numbers.end(), 1);
    Mailbox mailbox;
    Process process([&] {
        say(mailbox.address(), std::to_string(std::accumulate(numbers.begin(), numbers.end(), 0)));
        numbers.clear();
    });
    process.start();
    numbers.assign(1, 1);  // after the snapshot
    EXPECT_EQ(mailbox.line(), "500500");
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(numbers.size(), 1U);
}

class Squares : public Process {
  public:
    Squares(std::vector<int> tasks, mp::serial::Handle to) : Process({.name = "squares"}), tasks_(std::move(tasks)), to_(to) {}
    void run() override {
        for (const int task : tasks_) results.push_back(task * task);
        std::string text = name() + (is_alive() ? " alive" : " dead") + (pid() == ::getpid() ? " own pid" : " other pid");
        for (const int result : results) text += ' ' + std::to_string(result);
        say(to_, text);
    }
    std::vector<int> results;

  private:
    std::vector<int> tasks_;
    mp::serial::Handle to_;
};

// cpython: _TestSubclassingProcess.test_subclassing
TEST_F(Snapshot, AClassOfOnesOwnRunsInTheChildWithItsMembers) {
    Mailbox mailbox;
    Squares process({1, 2, 3}, mailbox.address());
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(mailbox.line(), "squares alive own pid 1 4 9");
    EXPECT_TRUE(process.results.empty()) << "the state of the child stays there";
}

// A service: numbers come by one pipe, answers go by another, until the end of the first.
class Service : public Process {
  public:
    Service() {
        if (::pipe2(to_child_, O_CLOEXEC) != 0 || ::pipe2(from_child_, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        in_.reset(to_child_[1]);
        child_in_.reset(to_child_[0]);
        out_.reset(from_child_[0]);
        child_out_.reset(from_child_[1]);
    }
    ~Service() override { in_.reset(); }  // the end of its input ends it; then ~Process joins
    void run() override {
        in_.reset();
        for (int number; ::read(child_in_.get(), &number, sizeof number) == sizeof number;) {
            number *= 2;
            if (::write(child_out_.get(), &number, sizeof number) != sizeof number) std::exit(1);
        }
    }
    int twice(int number) {
        EXPECT_EQ(::write(in_.get(), &number, sizeof number), static_cast<ssize_t>(sizeof number));
        EXPECT_EQ(::read(out_.get(), &number, sizeof number), static_cast<ssize_t>(sizeof number));
        return number;
    }

  private:
    int to_child_[2], from_child_[2];
    mp::os::UniqueFd in_, out_, child_in_, child_out_;
};

TEST_F(Snapshot, AServiceEndsAtTheEndOfItsInput) {
    Service service;
    service.start();
    EXPECT_EQ(service.twice(4), 8);
    EXPECT_EQ(service.twice(21), 42);
}

TEST_F(Snapshot, IsRefusedBesideOtherThreadsWhichItNames) {
    Event stop;
    std::thread thread([&] { EXPECT_TRUE(stop.wait()); });
    ::pthread_setname_np(thread.native_handle(), "holds-a-lock");
    int local = 0;
    Process process([&] { ++local; });
    try {
        process.start();
        ADD_FAILURE();
    } catch (const mp::UnsafeFork& error) {
        EXPECT_THAT(error.what(), HasSubstr("holds-a-lock"));
        EXPECT_THAT(error.threads(), Contains(HasSubstr("holds-a-lock")));
    }
    stop.set();
    thread.join();
    process.start();  // nothing was started before, so this is the first time
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
}

struct TellsItsEnd {
    ~TellsItsEnd() {
        if (to) say(to, "destroyed in " + std::to_string(::getpid()));
    }
    mp::serial::Handle to;
};
TellsItsEnd static_object;
mp::serial::Handle* parents_handler_target = nullptr;
void parents_handler() {
    if (parents_handler_target && *parents_handler_target) say(*parents_handler_target, "parent's handler");
}

TEST_F(Snapshot, ExitHandlersAndStaticObjectsOfTheParentAreNotTheChilds) {
    Mailbox mailbox;
    static mp::serial::Handle target;
    target = mailbox.address();
    parents_handler_target = &target;
    static const int registered = std::atexit(parents_handler);
    ASSERT_EQ(registered, 0);
    static_object.to = mailbox.address();
    for (const int how : {0, 1}) {
        Process process({.start_method = mp::StartMethod::fork}, [&, how] {
            std::atexit([] { say(target, "child's handler"); });
            if (how == 1) std::exit(3);
        });
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), how == 1 ? 3 : 0);
    }
    static_object.to = {};
    target = {};
    parents_handler_target = nullptr;
    EXPECT_EQ(mailbox.rest(), "child's handler\nchild's handler\n");
}

TEST_F(Snapshot, AnUnwrittenFileOfTheParentIsWrittenOnce) {
    const auto path = std::filesystem::temp_directory_path() / "unwritten";
    {
        std::ofstream cpp(path);
        std::FILE* c = std::fopen((path.string() + "_c").c_str(), "we");
        cpp << "once\n";
        std::fputs("once\n", c);
        Process process({.start_method = mp::StartMethod::fork}, [] {});
        process.start();
        process.join();
        std::fclose(c);
    }
    for (const auto& file : {path, std::filesystem::path(path.string() + "_c")}) {
        EXPECT_EQ(std::filesystem::file_size(file), 5U) << file;
        std::filesystem::remove(file);
    }
}

TEST_F(Snapshot, OfASnapshotMayStartProcessesOfEveryMethod) {
    Mailbox mailbox;
    int depth = 0;
    Process outer([&] {
        ++depth;
        for (const auto method : mp::get_all_start_methods()) {
            Process inner({.start_method = method}, [](mp::serial::Handle to, int x) { say(to, std::to_string(x)); },
                          mailbox.address(), depth);
            inner.start();
            inner.join();
        }
        Process closure([&] { say(mailbox.address(), std::to_string(depth + 1)); });
        closure.start();
    });
    outer.start();
    outer.join();
    EXPECT_EQ(outer.exitcode(), 0);
    EXPECT_EQ(mailbox.rest(), "1\n1\n1\n2\n");
}

// cpython: MiscTestCase.test_forked_thread_not_started
TEST_F(Snapshot, AChildMayStartThreads) {
    Mailbox mailbox;
    std::thread prepared;
    Process process([&] {
        prepared = std::thread([&] { say(mailbox.address(), "from a thread"); });
        prepared.join();
    });
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(mailbox.line(), "from a thread");
}

// cpython: TestStartMethod.test_mixed_startmethod (here it simply works)
TEST_F(Snapshot, SharesVariablesWithProcessesOfOtherMethods) {
    mp::Value<int> total(0);
    {
        Process snapshot([&] { total += 1; });
        Process clean({.start_method = mp::StartMethod::spawn}, [](mp::Value<int> value) { value += 10; }, total);
        snapshot.start();
        clean.start();
    }
    EXPECT_EQ(total.load(), 11);
}

}  // namespace
