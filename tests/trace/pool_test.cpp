// What is seen of pools at work: statistics, progress, sessions, and the page that others read.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "pool/pool_fixture.hpp"
#include "pool/task_under_way.hpp"
#include "trace/temporary_file.hpp"

namespace mp::test {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class PoolInsight : public PoolByEveryMethod {};
MP_EVERY_METHOD(PoolInsight);
using PoolProgress = PoolTest;
using PoolSession = PoolTest;

int doze(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    return milliseconds;
}
// Of a million numbers, too: the overflow is meant.
int square(int x) { return static_cast<int>(static_cast<unsigned>(x) * static_cast<unsigned>(x)); }
int fails_on_seven(int x) {
    if (x == 7) throw std::invalid_argument("seven");
    return x;
}
int dies_on_seven(int x) {
    if (x == 7) ::raise(SIGKILL);
    return x;
}

TEST_P(PoolInsight, CountsWhatWorkersDid) {
    Pool pool(options(2));
    pool.map(doze, std::vector{30, 20, 10, 10}, {.label = "sleepers"});
    pool.apply(square, 3);
    const PoolStats stats = pool.stats();
    EXPECT_EQ(stats.tasks(), 5u);
    EXPECT_EQ(stats.failed(), 0u);
    EXPECT_EQ(stats.elements, 4u);
    EXPECT_EQ(stats.submitted, 1u);
    EXPECT_EQ(stats.times.count(), 5u);
    ASSERT_EQ(stats.workers.size(), 2u);
    std::chrono::nanoseconds worked{};
    for (const auto& worker : stats.workers) {
        worked += worker.working;
        EXPECT_GT(worker.pid, 0);
        EXPECT_GT(worker.start, 0ns);
        EXPECT_EQ(worker.restarts, 0u);
        EXPECT_LE(worker.start + worker.init + worker.waiting + worker.working + worker.sending, stats.elapsed + 1s);
    }
    EXPECT_GE(worked, 70ms);
    ASSERT_FALSE(stats.slowest.empty());
    // Which of them was the longest is up to the machine.
    EXPECT_THAT(stats.slowest[0].name(), testing::StartsWith("sleepers(#"));
    EXPECT_GE(stats.slowest[0].duration, 30ms);
    EXPECT_TRUE(std::ranges::any_of(stats.slowest, [](const TaskTime& task) { return task.label.find("square") != std::string::npos; }));
}

TEST_P(PoolInsight, CountsFailuresRetriesAndDeaths) {
    Pool pool(options(2));
    pool.map_outcomes(fails_on_seven, mp::range(0, 20));
    pool.map_outcomes(fails_on_seven, mp::range(0, 20), {.retries = Retries{.exception = 2}});
    EXPECT_EQ(pool.stats().failed(), 4u);
    EXPECT_EQ(pool.stats().retried, 2u);
    pool.map_outcomes(dies_on_seven, mp::range(0, 20));
    const PoolStats stats = pool.stats();
    EXPECT_EQ(stats.crashes, 1u);
    EXPECT_EQ(stats.failed(), 5u);
}

TEST_P(PoolInsight, IsStillThereAfterTheEnd) {
    Pool pool(options(2));
    pool.map(square, mp::range(0, 1000));
    pool.close();
    pool.join();
    EXPECT_EQ(pool.stats().tasks(), 1000u);
}

TEST_P(PoolInsight, ShowsOthersWhatRunsNow) {
    Pool pool(options(2));
    TaskUnderWay task(pool, "a long one");
    const auto pools = running_pools(::getpid());
    task.end();
    ASSERT_EQ(pools.size(), 1u);
    std::map<WorkerState, std::string> tasks;
    for (const auto& worker : pools[0].stats.workers) tasks.emplace(worker.state, worker.task);
    EXPECT_EQ(tasks[WorkerState::working], "a long one");
    EXPECT_EQ(pools[0].stats.assigned, 1u);
}

// The last of 60 does not end before a report has shown some of them done.
int nap(mp::Event reported, int x) {
    std::this_thread::sleep_for(10ms);
    if (x == 59) static_cast<void>(reported.wait_for(patience));
    return x;
}

TEST_F(PoolProgress, TellsAFunctionHowFarACallIs) {
    Pool pool(2);
    std::vector<Progress> reports;
    mp::Event reported;
    pool.map_outcomes(mp::bind(
                          [](mp::Event event, int x) {
                              if (x % 10 == 3) throw std::runtime_error("three");
                              return nap(event, x);
                          },
                          reported),
                      mp::range(0, 60),
                      {.progress =
                           [&](const Progress& progress) {
                               reports.push_back(progress);
                               if (progress.done > 0) reported.set();
                           },
                       .label = "sleep"});
    ASSERT_GE(reports.size(), 2u);
    EXPECT_TRUE(std::ranges::is_sorted(reports, {}, &Progress::done));
    EXPECT_LT(reports.front().done, 60u);
    EXPECT_FALSE(reports.front().finished);
    EXPECT_EQ(reports.front().workers.size(), 2u);
    EXPECT_EQ(reports.back().done, 60u);
    EXPECT_EQ(reports.back().failed, 6u);
    EXPECT_EQ(reports.back().total, 60u);
    EXPECT_EQ(reports.back().label, "sleep");
    EXPECT_TRUE(reports.back().finished);
}

TEST_F(PoolProgress, CountsWithinAChunk) {
    Pool pool(1);
    std::uint64_t seen = 0;
    mp::Event reported;
    pool.map(mp::bind(nap, reported), mp::range(0, 60), {.chunk_size = 60, .progress = [&](const Progress& progress) {
                                                             if (!progress.finished) seen = progress.done;
                                                             if (seen > 0) reported.set();
                                                         }});
    EXPECT_GT(seen, 0u);
    EXPECT_LT(seen, 60u);
}

TEST_F(PoolProgress, AFunctionThatThrowsEndsTheCall) {
    Pool pool(2);
    EXPECT_THROW(pool.map(doze, std::vector<int>(2000, 10),
                          {.progress = [](const Progress&) { throw std::runtime_error("enough"); }}),
                 std::runtime_error);
    EXPECT_EQ(pool.apply(square, 4), 16);
}

Json tasks_of(const std::string& text) {
    Json tasks = Json::array();
    const Json trace = Json::parse(text);
    for (const Json& event : trace.at("traceEvents"))
        if (event.at("ph") == "X") tasks.push_back(event);
    return tasks;
}

TEST_F(PoolSession, RecordsEachTaskOfItsTime) {
    const TemporaryFile file("run.json");
    Pool pool(2);
    pool.map(doze, std::vector{20, 20});  // before
    {
        const trace::Session session(file);
        pool.map(doze, std::vector{5, 5, 5, 5, 5, 5}, {.chunk_size = 3, .label = "doze"});
        pool.apply(square, 2);
    }
    pool.map(doze, std::vector{20, 20});  // and after
    const Json tasks = tasks_of(file.contents());
    ASSERT_EQ(tasks.size(), 7u);
    std::vector<int> elements;
    for (const Json& task : tasks) {
        if (task.at("name") != "doze") continue;
        EXPECT_GE(task.at("dur").get<double>(), 5000);
        elements.push_back(task.at("args").at("element"));
    }
    EXPECT_THAT(elements, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(PoolSession, RecordsDeathsAndRetries) {
    MP_SKIP_UNDER_SANITIZERS("a crash ends otherwise");
    const TemporaryFile file("run.json");
    {
        const trace::Session session(file);
        Pool pool(2);
        pool.map_outcomes(dies_on_seven, mp::range(0, 20), {.chunk_size = 1, .retries = Retries{.crash = 1}});
        pool.run_on_all([] {});  // the dead have been replaced
    }
    int crashed = 0, started = 0, retried = 0;
    const Json trace = Json::parse(file.contents());
    for (const Json& event : trace.at("traceEvents")) {
        if (event.at("name") == "worker crashed") {
            ++crashed;
            EXPECT_THAT(event.at("args").at("what"), AllOf(HasSubstr("dies_on_seven(#7)"), HasSubstr("SIGKILL")));
        }
        started += event.at("name") == "worker started";
        retried += event.at("name") == "worker retried";
        if (event.at("ph") == "X" && event.at("args").contains("crashed")) {
            EXPECT_EQ(event.at("args").at("element"), 7);
        }
    }
    EXPECT_EQ(crashed, 2);
    EXPECT_EQ(started, 4);
    EXPECT_EQ(retried, 1);
}

TEST_F(PoolSession, AccountsForAMillionTasks) {
    const TemporaryFile file("run.json");
    Pool pool(2);
    {
        const trace::Session session(file);
        pool.map(square, mp::range(0, 1'000'000), {.chunk_size = 5});
    }
    std::uint64_t seen = 0;
    const Json tasks = tasks_of(file.contents());
    for (const Json& task : tasks) seen += task.at("args").at("tasks").get<std::uint64_t>();
    EXPECT_LE(tasks.size(), 60'000u);
    EXPECT_LE(seen, 1'000'000u);  // fewer if the machine was too busy to take them in time: that is counted as well
    EXPECT_GT(seen, 100'000u);
}

}  // namespace
}  // namespace mp::test
