// What workers print, and how it reaches the caller's streams.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include "os/unique_fd.hpp"
#include "pool/flood_gate.hpp"
#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Output;
using mp::Pool;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

using PoolOutput = PoolByEveryMethod;
MP_EVERY_METHOD(PoolOutput);
using PoolOutputOnce = PoolTest;

// While it lives, a standard stream of this process goes into memory.
class Captured {
  public:
    explicit Captured(int stream) : stream_(stream), before_(mp::os::UniqueFd::duplicate(stream)) {
        std::fflush(nullptr);
        file_.reset(::memfd_create("captured", MFD_CLOEXEC));
        ::fcntl(file_.get(), F_SETFL, O_APPEND);
        ::dup2(file_.get(), stream_);
    }
    ~Captured() {
        std::fflush(nullptr);
        ::dup2(before_.get(), stream_);
    }
    std::string text() const {
        std::string all(static_cast<std::size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
        EXPECT_EQ(::pread(file_.get(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
        return all;
    }
    std::vector<std::string> lines() const {
        std::istringstream in(text());
        std::vector<std::string> all;
        for (std::string line; std::getline(in, line);) all.push_back(line);
        return all;
    }

  private:
    int stream_;
    mp::os::UniqueFd before_, file_;
};

TEST_P(PoolOutput, OfATaskIsThereWhenItsResultIs) {
    Pool pool(options(1));
    for (int round = 0; round < 50; ++round) {
        const Captured out(STDOUT_FILENO), err(STDERR_FILENO);
        pool.submit([](int n) { std::printf("by stdio %d\n", n); }, round).get();
        ASSERT_EQ(out.text(), "by stdio " + std::to_string(round) + '\n');
        pool.submit([](int n) { std::cout << "by iostream " << n << '\n'; }, round).get();
        ASSERT_THAT(out.text(), HasSubstr("by iostream " + std::to_string(round) + '\n'));
        pool.submit([](int n) { std::fprintf(stderr, "error %d\n", n); }, round).get();
        ASSERT_EQ(err.text(), "error " + std::to_string(round) + '\n');
        pool.submit([](int n) { std::cerr << "cerr " << n << std::endl; }, round).get();
        ASSERT_THAT(err.text(), HasSubstr("cerr " + std::to_string(round) + '\n'));
        pool.map([](int n) { std::printf("map %d\n", n); }, mp::range(round, round + 1));
        ASSERT_THAT(out.text(), HasSubstr("map " + std::to_string(round) + '\n'));
    }
}

TEST_P(PoolOutput, OfAnElementIsThereWhenAStreamGivesItsResult) {
    Pool pool(options(static_cast<int>(mp::cpu_count())));
    const Captured out(STDOUT_FILENO);
    const auto print = [](int n) {
        std::printf("element %d.\n", n);
        return n;
    };
    for (const int n : pool.imap_unordered(print, mp::range(0, 1000)))
        ASSERT_THAT(out.text(), HasSubstr("element " + std::to_string(n) + ".\n"));
}

TEST_P(PoolOutput, ComesWholeLineByLineAndInOrderForEachWorker) {
    const Captured out(STDOUT_FILENO);
    {
        Pool pool(options(3));
        pool.map(
            [](int n) {
                const std::string filling(static_cast<std::size_t>(n % 97) * 50, 'x');
                for (int i = 0; i < 3; ++i) {
                    // In pieces, so that a line is several writes.
                    std::printf("%d %d %d ", ::getpid(), n, i);
                    std::fflush(stdout);
                    std::printf("%s end\n", filling.c_str());
                }
            },
            mp::range(400));
    }
    const auto lines = out.lines();
    EXPECT_EQ(lines.size(), 1200U);
    std::map<int, std::pair<int, int>> last;
    for (const auto& line : lines) {
        std::istringstream in(line);
        int pid = 0, n = 0, i = 0;
        in >> pid >> n >> i;
        const std::string filling(static_cast<std::size_t>(n % 97) * 50, 'x');
        ASSERT_EQ(line,
                  std::to_string(pid) + ' ' + std::to_string(n) + ' ' + std::to_string(i) + ' ' + filling + " end");
        if (last.count(pid)) {
            EXPECT_LT(last[pid], std::pair(n, i));
        }
        last[pid] = {n, i};
    }
}

TEST_P(PoolOutput, OfAWorkerThatDiesIsNotLost) {
    MP_SKIP_UNDER_SANITIZERS("a crash has a report of its own there");
    const Captured out(STDOUT_FILENO), err(STDERR_FILENO);
    Pool pool(options(1));
    auto future = pool.submit([] {
        for (int i = 0; i < 1000; ++i) std::printf("line %d\n", i);
        for (int i = 0; i < 30; ++i) std::fprintf(stderr, "note %d\n", i);
        std::fprintf(stderr, "and an end without a new line");
        ::raise(SIGKILL);
    });
    try {
        future.get();
        ADD_FAILURE();
    } catch (const mp::WorkerLost& lost) {
        ASSERT_EQ(lost.stderr_tail().size(), 20U);
        EXPECT_EQ(lost.stderr_tail().front(), "note 11");
        EXPECT_EQ(lost.stderr_tail().back(), "and an end without a new line");
        EXPECT_THAT(mp::Failure(std::make_exception_ptr(lost)).to_string(), HasSubstr("\n    and an end without"));
    }
    EXPECT_EQ(out.lines().size(), 1000U);
    EXPECT_THAT(err.text(), HasSubstr("note 29\nand an end without a new line\n"));
}

TEST_P(PoolOutput, WithoutAnEndOfLineIsCompletedWhenThePoolEnds) {
    const Captured out(STDOUT_FILENO);
    {
        Pool pool(options(1));
        pool.submit([] { std::printf("no end"); }).get();
        EXPECT_EQ(out.text(), "");
    }
    EXPECT_EQ(out.text(), "no end\n");
}

TEST_P(PoolOutput, OfADaemonOfTheTaskArrivesAndDoesNotHoldThePool) {
    const Captured out(STDOUT_FILENO);
    {
        Pool pool(options(1));
        pool.submit([] { EXPECT_EQ(std::system("(echo from a shell; sleep 100) & echo at once"), 0); }).get();
        EXPECT_TRUE(eventually([&] { return out.text().find("from a shell\n") != std::string::npos; }));
    }
    EXPECT_THAT(out.text(), HasSubstr("at once\n"));
}

int task_that_prints(int n) {
    std::printf("print %d\n", n);
    std::fprintf(stderr, "complain %d\n", n);
    return n;
}

TEST_P(PoolOutput, TaggedSaysWorkerAndTask) {
    const Captured out(STDOUT_FILENO), err(STDERR_FILENO);
    {
        auto chosen = options(1);
        chosen.output = Output::tagged;
        Pool pool(chosen);
        for (int i = 0; i < 20; ++i) static_cast<void>(pool.submit(task_that_prints, i));
        pool.submit([] { std::printf("half"); }).get();
        pool.submit(task_that_prints, 99).get();
    }
    const auto lines = out.lines();
    ASSERT_EQ(lines.size(), 22U);
    for (std::size_t i = 0; i < 20; ++i)
        EXPECT_THAT(lines[i], MatchesRegex("\\[pool-1 .*task_that_prints\\] print " + std::to_string(i)));
    EXPECT_THAT(lines[20], MatchesRegex("\\[pool-1 .*(lambda|[$]_).*\\] half"));
    EXPECT_THAT(lines[21], MatchesRegex("\\[pool-1 .*task_that_prints\\] print 99"));
    ASSERT_EQ(err.lines().size(), 21U);
    EXPECT_THAT(err.lines()[20], MatchesRegex("\\[pool-1 .*task_that_prints\\] complain 99"));
}

TEST_P(PoolOutput, InheritedGoesToTheSameFileAsTheCallers) {
    const Captured out(STDOUT_FILENO);
    auto chosen = options(1);
    chosen.output = Output::inherit;
    Pool pool(chosen);
    const auto inode = [] {
        struct stat file{};
        ::fstat(STDOUT_FILENO, &file);
        return static_cast<std::uint64_t>(file.st_ino);
    };
    EXPECT_EQ(pool.submit(inode).get(), inode());
}

TEST_P(PoolOutput, DiscardedIsNeverSeenButToldOfTheDead) {
    MP_SKIP_UNDER_SANITIZERS("a crash has a report of its own there");
    const Captured out(STDOUT_FILENO), err(STDERR_FILENO);
    auto chosen = options(1);
    chosen.output = Output::discard;
    Pool pool(chosen);
    try {
        pool.submit([] {
                task_that_prints(1);
                ::raise(SIGKILL);
            })
            .get();
        ADD_FAILURE();
    } catch (const mp::WorkerLost& lost) {
        EXPECT_THAT(lost.stderr_tail(), ElementsAre("complain 1"));
    }
    EXPECT_EQ(out.text() + err.text(), "");
}

// A full pipe must not stop a worker because the caller computes.
TEST_F(PoolOutputOnce, FlowsWhileTheCallerIsBusy) {
    const Captured out(STDOUT_FILENO);
    Pool pool(1);
    mp::Event done;
    const auto printing = pool.submit(
        [](mp::Event event) {
            for (int i = 0; i < 20'000; ++i) std::printf("%d and some more text to fill the pipe\n", i);
            event.set();
        },
        done);
    EXPECT_TRUE(done.wait_for(patience));
    pool.close();
    pool.join();
    EXPECT_EQ(out.lines().size(), 20'000U);
}

TEST_F(PoolOutputOnce, ComesAfterWhatTheCallerPrintedBefore) {
    const Captured out(STDOUT_FILENO);
    Pool pool(1);
    std::printf("caller first\n");
    pool.submit(task_that_prints, 1).get();
    EXPECT_EQ(out.text(), "caller first\nprint 1\n");
}

TEST_F(PoolOutputOnce, OfACallerWithClosedStreamsGoesNowhere) {
    const auto kept = mp::os::UniqueFd::duplicate(STDOUT_FILENO);
    ::close(STDOUT_FILENO);
    {
        Pool pool(1);
        EXPECT_EQ(pool.submit(task_that_prints, 3).get(), 3);
    }
    ::dup2(kept.get(), STDOUT_FILENO);
}

TEST_F(PoolOutputOnce, FloodsAreCutAndCounted) {
    const Captured out(STDOUT_FILENO);
    mp::PoolOptions options{.workers = 1};
    options.output_limit.lines_per_second = 10;
    {
        Pool pool(options);
        pool.submit([] {
                for (int i = 0; i < 1000; ++i) std::printf("line %d\n", i);
            })
            .get();
    }
    const auto lines = out.lines();
    EXPECT_LT(lines.size(), 500U);
    EXPECT_EQ(lines.front(), "line 0");
    EXPECT_THAT(lines.back(), MatchesRegex("\\[pool-1\\] [0-9]+ lines dropped: too many in a second"));
}

TEST(FloodGate, LetsAsManyThroughASecondAsItIsToldAndTheSameAgainLater) {
    mp::pool::FloodGate gate({.lines_per_second = 3, .repeats_per_second = std::nullopt});
    const mp::pool::FloodGate::Clock::time_point begin{std::chrono::hours(1)};
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(gate.pass(std::to_string(i), begin));
    EXPECT_FALSE(gate.pass("one too many", begin + 500ms));
    EXPECT_TRUE(gate.pass("next second", begin + 1s));
    EXPECT_EQ(gate.report(), "1 line dropped: too many in a second");
    EXPECT_EQ(gate.report(), std::nullopt);
}

TEST(FloodGate, CountsRepeatsOnlyWithoutAnotherLineBetween) {
    mp::pool::FloodGate gate({.lines_per_second = std::nullopt, .repeats_per_second = 1});
    const mp::pool::FloodGate::Clock::time_point begin{std::chrono::hours(1)};
    EXPECT_TRUE(gate.pass("same", begin));
    EXPECT_TRUE(gate.pass("same", begin));
    EXPECT_FALSE(gate.pass("same", begin));
    EXPECT_TRUE(gate.pass("other", begin));
    EXPECT_TRUE(gate.pass("same", begin));
}

}  // namespace
