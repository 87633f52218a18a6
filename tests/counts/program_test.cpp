// What tools count that watch a whole program: instructions by valgrind, system calls by strace. Both counts are those of a
// task once everything stands: of two runs of different length, the difference is looked at.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "pool/pool_fixture.hpp"
#include "support/run_program.hpp"

namespace mp::test {
namespace {

bool can_run(const std::vector<std::string>& command) { return run_program(command).exit_code == 0; }

// A folder of its own, removed at the end.
class Folder {
  public:
    Folder() : path_(std::filesystem::path(::testing::TempDir()) / ("counts-" + std::to_string(::getpid()))) {
        std::filesystem::create_directory(path_);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

class Program : public ::testing::Test {
  protected:
    void SetUp() override { MP_SKIP_UNDER_SANITIZERS("valgrind and strace watch the program as users have it"); }

    /// Instructions that all processes of counted_work spend within the functions that match.
    static double instructions(const std::string& functions, const std::string& work, int tasks,
                               std::string* printed = nullptr) {
        const Folder folder;
        const auto result = run_program({"valgrind", "--tool=callgrind", "--toggle-collect=" + functions,
                                         "--callgrind-out-file=" + (folder.path() / "out.%p").string(), COUNTED_WORK, work,
                                         std::to_string(tasks)},
                                        {.deadline = 240s});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        if (printed) *printed = result.out;
        double sum = 0;
        for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
            std::ifstream in(file.path());
            for (std::string line; std::getline(in, line);)
                if (line.rfind("totals: ", 0) == 0) sum += std::stod(line.substr(8));
        }
        return sum;
    }

    static double instructions_a_task(const std::string& functions, const std::string& work, int few, int many) {
        const double difference = instructions(functions, work, many) - instructions(functions, work, few);
        const double each = difference / (many - few);
        RecordProperty("instructions", std::to_string(each));
        EXPECT_GT(each, 1) << "the functions were not found";
        return each;
    }

    static double system_calls(const std::string& work, int tasks) {
        const Folder folder;
        const std::string table = folder.path() / "calls";
        const auto result = run_program({"strace", "-f", "-c", "-U", "calls", "-o", table, COUNTED_WORK, work, std::to_string(tasks)},
                                        {.deadline = 240s});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        std::ifstream in(table);
        double sum = 0;
        for (std::string line; std::getline(in, line);)
            if (line.ends_with(" total")) sum = std::stod(line);
        EXPECT_GT(sum, 100) << "strace saw nothing";
        return sum;
    }
};

#define MP_NEED(tool, ...) \
    if (!can_run(__VA_ARGS__)) GTEST_SKIP() << "there is no " tool " that works here"

// Packing the arguments, the task's record, its place in a lane. One task at a time: its worker has room, so that looking
// for room is not counted, which depends on how fast others are.
TEST_F(Program, HandingOutATaskTakesFewInstructions) {
    MP_NEED("valgrind", {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"});
    EXPECT_LT(instructions_a_task("*hand_out(mp::Pool&, int)*", "single", 500, 2500), 1200);
}

// From the frame in the lane to the future that is done.
TEST_F(Program, TakingAResultBackTakesFewInstructions) {
    MP_NEED("valgrind", {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"});
    EXPECT_LT(instructions_a_task("*PoolCore::take_result(*", "single", 500, 2500), 450);
}

// From the frame in the lane to the published result.
TEST_F(Program, ATaskCostsItsWorkerFewInstructions) {
    MP_NEED("valgrind", {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"});
    EXPECT_LT(instructions_a_task("*Worker::run_task*", "submit", 1000, 5000), 600);
}

// Without one it looks whether there is one, and that is all.
TEST_F(Program, ATaskPaysForARecordOnlyWhileASessionIsOn) {
    MP_NEED("valgrind", {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"});
    const double without = instructions_a_task("*Worker::run_task*", "single", 1000, 5000);
    const double with = instructions_a_task("*Worker::run_task*", "recorded", 1000, 5000);
    RecordProperty("instructions of a record", std::to_string(with - without));
    EXPECT_GT(with, without + 20);
}

// Saying which one runs, calling it, storing the result, saying that it is done.
TEST_F(Program, AnElementOfAMapTakesAFewDozenInstructions) {
    MP_NEED("valgrind", {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"});
    EXPECT_LT(instructions_a_task("*mp::detail::run_map<*", "map", 20'000, 120'000), 40);
}

// At a million tasks a second 30 instructions are less than one in a hundred of what a core does.
TEST_F(Program, ProgressOfAStreamTakesFewInstructionsATask) {
    MP_NEED("valgrind", {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"});
    EXPECT_LT(instructions_a_task("*StreamProgress::count*", "watched_stream", 5'000, 45'000), 30);
}

// Ten times a second, whatever the number of tasks: elements of a map pay nothing for it. The first report looks up what
// functions are called, once.
TEST_F(Program, AReportOfProgressTakesLessThanAHundredthOfItsTime) {
    MP_NEED("valgrind", {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "true"});
    std::string few, many;
    const double before = instructions("*ProgressDisplay::report*", "watched_map", 10'000, &few);
    const double after = instructions("*ProgressDisplay::report*", "watched_map", 10'000'000, &many);
    const double more = std::stod(many) - std::stod(few);
    if (more < 3) GTEST_SKIP() << "the longer run was over too soon to be reported";
    RecordProperty("instructions", std::to_string((after - before) / more));
    EXPECT_GT(before, 1000) << "the function was not found";
    EXPECT_LT((after - before) / more, 1'000'000) << "of the 300 million in a tenth of a second";
}

// Nobody enters the kernel for a task; now and then one side sleeps until the other has more for it. On a machine with much
// else to do that is more often.
TEST_F(Program, AStreamOfTasksHardlyEntersTheKernel) {
    MP_NEED("strace", {"strace", "-f", "-o", "/dev/null", "true"});
    const double more = system_calls("submit", 21'000) - system_calls("submit", 1000);
    EXPECT_LT(more / 20, 100) << "system calls for 1000 tasks";
}

TEST_F(Program, ALongerMapEntersTheKernelNoMoreOften) {
    MP_NEED("strace", {"strace", "-f", "-o", "/dev/null", "true"});
    const double more = system_calls("map", 1'001'000) - system_calls("map", 1000);
    EXPECT_LT(more, 200) << "system calls for a million elements";
}

TEST_F(Program, AnIdlePoolDoesNotWakeUp) {
    MP_NEED("strace", {"strace", "-f", "-o", "/dev/null", "true"});
    const Folder folder;
    const std::string log = folder.path() / "calls";
    const auto result = run_program({"strace", "-f", "-o", log, COUNTED_WORK, "idle", "2000"}, {.deadline = 240s});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    std::ifstream in(log);
    std::string line, within;
    while (std::getline(in, line) && line.find("/idle begins") == std::string::npos) {}
    ASSERT_TRUE(in) << "strace did not see where the time without work begins";
    int calls = 0;
    for (; std::getline(in, line) && line.find("/idle ends") == std::string::npos; ++calls) within += line + '\n';
    ASSERT_TRUE(in) << "strace did not see where the time without work ends";
    EXPECT_LT(calls, 10) << "system calls in two seconds without work:\n" << within;
}

}  // namespace
}  // namespace mp::test
