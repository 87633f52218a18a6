// The program as a user meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "support/marked_processes.hpp"
#include "support/run_program.hpp"

namespace {

using mp::test::MarkedProcesses;
using mp::test::ProgramResult;
using mp::test::run_program;
using mp::test::RunningProgram;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;
using Json = nlohmann::json;

std::vector<std::string> command(const std::string& arguments) {
    std::vector<std::string> words{PRIMES_PROGRAM};
    std::istringstream stream(arguments);
    words.insert(words.end(), std::istream_iterator<std::string>(stream), {});
    return words;
}

/// stdout of a run that must go well.
std::string output(const std::string& arguments) {
    const ProgramResult result = run_program(command(arguments));
    EXPECT_EQ(result.exit_code, 0) << arguments << '\n' << result.err;
    EXPECT_EQ(result.err, "") << arguments;
    return result.out;
}

Json json(const std::string& arguments) { return Json::parse(output(arguments + " --json")); }

std::uint64_t sum_of_workers(const Json& object) {
    std::uint64_t sum = 0;
    for (const auto& worker : object.at("workers")) sum += worker.at("count").get<std::uint64_t>();
    return sum;
}

struct Way {
    std::string mode, method, start;
};
std::ostream& operator<<(std::ostream& out, const Way& way) {
    return out << "--mode " << way.mode << " --method " << way.method << " --start-method " << way.start;
}

class Primes : public testing::TestWithParam<Way> {};

std::vector<Way> all_ways() {
    std::vector<Way> ways;
    for (const char* mode : {"serial", "process", "shared", "pool", "own"})
        for (const char* method : {"trial", "sieve"})
            for (const char* start : {"forkserver", "fork", "spawn"}) ways.push_back({mode, method, start});
    return ways;
}
INSTANTIATE_TEST_SUITE_P(Ways, Primes, testing::ValuesIn(all_ways()), [](const auto& info) {
    return info.param.mode + "_" + info.param.method + "_" + info.param.start;
});

TEST_P(Primes, AreCountedRight) {
    std::ostringstream options;
    options << "1 30000 --workers 3 " << GetParam();
    const Json object = json(options.str());
    EXPECT_EQ(object.at("count"), 3245);
    EXPECT_EQ(sum_of_workers(object), 3245u);
    EXPECT_EQ(object.at("mode"), GetParam().mode);
    EXPECT_FALSE(object.contains("events"));
}

TEST(PrimesProgram, CountsTheTutorialsRange) {
    const std::string text = output("1 80000 --workers 2");
    EXPECT_EQ(text.rfind("7837 primes from 1 to 80000", 0), 0u);
    EXPECT_THAT(text, HasSubstr("wall time"));
    EXPECT_EQ(output("80000 --quiet"), "7837\n");
}

TEST(PrimesProgram, CountsAFewNumbersWithManyWorkers) {
    for (const char* mode : {"process", "shared", "pool", "own"})
        EXPECT_EQ(output(std::string("2 3 --quiet --workers 5 --mode ") + mode), "2\n") << mode;
}

TEST(PrimesProgram, ReachesTheHighestNumber) { EXPECT_EQ(output("2^64-3 2^64-1 --quiet --workers 2"), "0\n"); }

TEST(PrimesProgram, ChartsTheTwentyPartsOfTheTutorial) {
    const std::string picture = testing::TempDir() + "primes_program_test.svg";
    const Json object = json("80000 --frequency 20 --workers 2 --svg " + picture);
    std::vector<int> counts;
    for (const auto& part : object.at("frequency")) counts.push_back(part.at("count"));
    EXPECT_EQ(counts, (std::vector{550, 457, 431, 424, 400, 406, 387, 377, 392, 379,
                                   376, 367, 373, 364, 374, 356, 361, 354, 356, 353}));
    std::ifstream file(picture);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_THAT(text, HasSubstr("<title>1 to 4000: 550 primes</title>"));
    std::filesystem::remove(picture);
}

TEST(PrimesProgram, ShowsItsRunAsAPageAndAsTraceEvents) {
    const std::string page = testing::TempDir() + "primes_run.html", trace = testing::TempDir() + "primes_run.json";
    EXPECT_EQ(output("80000 --quiet --workers 2 --report " + page + " --trace " + trace), "7837\n");
    std::ifstream events(trace), report(page);
    const std::string text{std::istreambuf_iterator<char>(report), {}};
    EXPECT_THAT(text, HasSubstr("A run of primes"));
    std::size_t tasks = 0;
    const Json recorded = Json::parse(events);
    for (const auto& event : recorded.at("traceEvents")) {
        if (event.at("ph") != "X") continue;
        ++tasks;
        EXPECT_THAT(event.at("name"), HasSubstr("count_block"));
    }
    EXPECT_GT(tasks, 10u);
    std::filesystem::remove(page);
    std::filesystem::remove(trace);
}

TEST(PrimesProgram, ComparesAllModes) {
    const Json object = json("1 20000 --compare --workers 2");
    ASSERT_EQ(object.at("runs").size(), 5u);
    for (const auto& run : object.at("runs")) EXPECT_EQ(run.at("count"), 2262);
    const std::string table = output("1 20000 --compare --workers 2");
    for (const char* mode : {"serial", "process", "shared", "pool", "own"}) EXPECT_THAT(table, HasSubstr(mode));
}

TEST(PrimesProgram, SaysSoWhenItsResultCannotBeWritten) {
    const ProgramResult result = run_program({"sh", "-c", PRIMES_PROGRAM " 100 > /dev/full"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err, "primes: cannot write to standard output: No space left on device\n");
}

TEST(PrimesProgram, RefusesBadInputWithOneSentenceAndCodeTwo) {
    for (const char* arguments : {"", "abc", "9 5", "2^64", "-5", "5 --workers 0", "5 --bogus", "5 --mode x",
                                  "5 --frequency 2 --svg /nonexistent/x.svg", "5 --report /nonexistent/x.html",
                                  "5 --report x.json", "5 --trace x.html", "5 --mode serial --report x.html"}) {
        const ProgramResult result = run_program(command(arguments));
        EXPECT_EQ(result.exit_code, 2) << arguments;
        EXPECT_EQ(result.out, "");
        EXPECT_EQ(result.err.rfind("primes: ", 0), 0u) << result.err;
        EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
    }
}

class PrimesInMode : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Modes, PrimesInMode, testing::Values("process", "shared", "pool", "own"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(PrimesInMode, CountRightAlthoughAWorkerIsCrashedOnPurpose) {
    const Json object = json(std::string("1 60000 --workers 2 --crash-worker 2 --mode ") + GetParam());
    EXPECT_EQ(object.at("count"), 6057);
    EXPECT_THAT(object.at("events").at(0), HasSubstr("was killed on purpose"));
}

/// Looks every few milliseconds whether `condition` holds; false when it does not within ten seconds.
template <class Condition>
bool comes_true(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

TEST_P(PrimesInMode, CountRightWhateverWorkerIsKilledFromOutside) {
    const MarkedProcesses family;
    RunningProgram program(command(std::string("1 80000 --workers 2 --quiet --mode ") + GetParam()),
                           {.environment = {family.variable()}});
    std::mt19937 random(7);
    int kills = 0;
    EXPECT_TRUE(comes_true([&] {
        const auto workers = family.workers();
        if (workers.size() >= 2 && ::kill(workers[random() % workers.size()], SIGKILL) == 0) ++kills;
        return kills == 12 || family.all().empty();
    }));
    EXPECT_GE(kills, 3);
    const ProgramResult result = program.finish();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "7837\n");
}

constexpr auto limit = 3s;  // one second is the promise, on a machine that has nothing else to do

TEST_P(PrimesInMode, EndSoonAfterCtrlCWithAPartialCount) {
    const MarkedProcesses family;
    RunningProgram program(command(std::string("1 1e7 --workers 2 --mode ") + GetParam()),
                           {.environment = {family.variable()}});
    ASSERT_TRUE(comes_true([&] { return family.workers().size() >= 2; }));
    const auto begin = std::chrono::steady_clock::now();
    for (const pid_t pid : family.all()) ::kill(pid, SIGINT);  // as a terminal does
    const ProgramResult result = program.finish();
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, limit);
    EXPECT_THAT(result.out, HasSubstr("partial count: "));
    EXPECT_TRUE(comes_true([&] { return family.all().empty(); }));  // the fork server sees the end a moment later
}

/// Whether this machine has pseudo-terminals: a container may come without /dev/pts.
bool has_terminals() {
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) return false;
    const bool usable = ::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0 && ::ptsname(terminal) != nullptr;
    ::close(terminal);
    return usable;
}

/// Below a terminal: script(1) passes on all that is drawn, and the exit code.
std::vector<std::string> on_terminal(const std::string& arguments) {
    return {"script", "--quiet", "--return", "--flush", "--command", PRIMES_PROGRAM " " + arguments, "/dev/null"};
}

TEST(PrimesSerial, EndSoonAfterCtrlCEvenWithinOneNumber) {
    if (!has_terminals()) GTEST_SKIP() << "there are no pseudo-terminals on this machine";
    const MarkedProcesses family;
    RunningProgram program(on_terminal("2^61-1 2^61-1 --mode serial"),
                           {.environment = {"TERM=xterm", family.variable()}});
    ASSERT_TRUE(program.wait_for_out("ETA"));
    const auto begin = std::chrono::steady_clock::now();
    for (const pid_t pid : family.workers()) ::kill(pid, SIGINT);  // below script(1): the program alone
    const ProgramResult result = program.finish();
    EXPECT_EQ(result.exit_code, 130);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, limit);
    EXPECT_THAT(result.out, HasSubstr("partial count: 0"));
}

TEST(PrimesProgram, DrawsItsBarOnATerminalOnlyAndClearsItAway) {
    if (!has_terminals()) GTEST_SKIP() << "there are no pseudo-terminals on this machine";
    const std::string drawn = run_program(on_terminal("1 80000 --workers 2"), {.environment = {"TERM=xterm"}}).out;
    EXPECT_THAT(drawn, HasSubstr("ETA"));
    EXPECT_THAT(drawn, HasSubstr("\r\x1b[K7837 primes from"));
    EXPECT_THAT(run_program(on_terminal("1 80000 --no-progress"), {.environment = {"TERM=xterm"}}).out,
                Not(HasSubstr("\x1b")));
}

}  // namespace
