// What is seen of a pool, whatever runs its tasks.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pool/pool_fixture.hpp"
#include "pool/task_under_way.hpp"
#include "trace/temporary_file.hpp"

namespace mp::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

class InsightEngine : public LeakCheck, public ::testing::WithParamInterface<EngineChoice> {
  protected:
    PoolOptions options(int workers = 2) const { return {.workers = workers, .engine = GetParam()}; }
    bool is_parallel() const { return GetParam().limits().is_parallel; }
};
INSTANTIATE_TEST_SUITE_P(Engines, InsightEngine,
                         ::testing::Values(EngineChoice(), mp::threads(), mp::inline_engine()),
                         [](const auto& info) { return info.param.limits().name; });

int doze(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    return milliseconds;
}
int square(int x) { return x * x; }
int fails_on_seven(int x) {
    if (x == 7) throw std::invalid_argument("seven");
    return x;
}

TEST_P(InsightEngine, CountsWhatWasDone) {
    Pool pool(options());
    pool.map(doze, std::vector{20, 10, 10}, {.label = "sleepers"});
    pool.apply(square, 3);
    EXPECT_THROW(pool.map(fails_on_seven, mp::range(0, 20), {.retries = Retries{.exception = 2}}), std::invalid_argument);
    PoolStats stats;
    // A worker sends its last result before it notes that it waits.
    EXPECT_TRUE(eventually([&] {
        stats = pool.stats();
        return std::ranges::all_of(stats.workers, [](const auto& one) { return one.state == WorkerState::waiting; });
    }));
    EXPECT_EQ(stats.elements, 23u);
    EXPECT_EQ(stats.submitted, 1u);
    EXPECT_EQ(stats.tasks(), 26u);  // two of them further attempts
    EXPECT_EQ(stats.failed(), 3u);
    EXPECT_EQ(stats.retried, 2u);
    EXPECT_EQ(stats.waiting + stats.assigned, 0u);
    EXPECT_EQ(stats.workers.size(), is_parallel() ? 2u : 1u);
    std::chrono::nanoseconds worked{};
    for (const auto& worker : stats.workers) {
        worked += worker.working;
        EXPECT_LE(worker.waiting + worker.working, stats.elapsed + 1s);
    }
    EXPECT_GE(worked, 40ms);
    ASSERT_FALSE(stats.slowest.empty());
    EXPECT_GE(stats.slowest[0].duration, 20ms);
    EXPECT_TRUE(std::ranges::any_of(stats.slowest, [](const TaskTime& task) { return task.label == "sleepers"; }));
}

TEST_P(InsightEngine, NamesWhatRuns) {
    Pool pool(options());
    const auto label = [&] {
        for (const auto& running : mp::running_pools(::getpid()))
            for (const auto& worker : running.stats.workers)
                if (worker.state == WorkerState::working) return worker.task;
        return std::string("nothing");
    };
    if (!is_parallel()) {
        static std::function<std::string()> look;
        look = label;
        EXPECT_EQ(pool.apply({.label = "inner"}, [] { return look(); }), "inner");
        EXPECT_EQ(label(), "nothing");
        return;
    }
    TaskUnderWay task(pool, "a long one");
    EXPECT_EQ(label(), "a long one");
    task.end();
}

TEST_P(InsightEngine, TellsProgressBeforeTheEnd) {
    Pool pool(options());
    mp::Event reported;
    std::vector<std::uint64_t> seen;
    const auto nap = [](mp::Event waited_for, bool waits, int x) {
        std::this_thread::sleep_for(10ms);
        if (waits && x == 59 && !waited_for.wait_for(patience)) throw std::runtime_error("no report");
        return x;
    };
    pool.map(mp::bind(nap, reported, is_parallel()), mp::range(0, 60), {.progress = [&](const Progress& progress) {
                 EXPECT_EQ(progress.total, 60u);
                 if (progress.done > 0 && !progress.finished) reported.set();
                 seen.push_back(progress.done);
             }});
    ASSERT_GE(seen.size(), 2u);
    EXPECT_LT(seen.front(), 60u);
    EXPECT_EQ(seen.back(), 60u);
    EXPECT_TRUE(std::ranges::is_sorted(seen));
    EXPECT_TRUE(reported.is_set());
}

TEST_P(InsightEngine, AProgressFunctionThatThrowsEndsTheCall) {
    Pool pool(options());
    EXPECT_THROW(pool.map(doze, std::vector<int>(2000, 10),
                          {.progress = [](const Progress&) { throw std::domain_error("enough"); }}),
                 std::domain_error);
    EXPECT_EQ(pool.apply(square, 4), 16);
}

TEST_P(InsightEngine, AReduceCountsElements) {
    Pool pool(options());
    std::uint64_t done = 0;
    const auto total = pool.reduce([](int x) { return long(x); }, std::plus<>{}, 0L, mp::range(0, 10'000),
                                   {.progress = [&](const Progress& progress) {
                                       EXPECT_EQ(progress.total, 10'000u);
                                       done = progress.done;
                                   }});
    EXPECT_EQ(total, 49'995'000);
    EXPECT_EQ(done, 10'000u);
    EXPECT_EQ(pool.stats().elements, 10'000u);
    EXPECT_EQ(pool.stats().tasks(), 10'000u);
}

TEST_P(InsightEngine, AReduceTellsElementsBeforeItsEnd) {
    Pool pool(options());
    std::set<std::uint64_t> seen;
    mp::Event reported;
    const auto nap = [](mp::Event waited_for, bool waits, int x) {
        std::this_thread::sleep_for(5ms);
        if (waits && x == 99 && !waited_for.wait_for(patience)) throw std::runtime_error("no report");
        return x;
    };
    pool.reduce(mp::bind(nap, reported, is_parallel()), std::plus<>{}, 0, mp::range(0, 100),
                {.chunk_size = 10, .progress = [&](const Progress& progress) {
                     if (progress.done > 0 && !progress.finished) reported.set();
                     seen.insert(progress.done);
                 }});
    EXPECT_GE(seen.size(), 2u);
    for (const std::uint64_t done : seen) EXPECT_EQ(done % 10, 0u);
    EXPECT_EQ(*seen.rbegin(), 100u);
}

TEST_P(InsightEngine, ASessionShowsEachTaskAndEachElement) {
    const TemporaryFile file("run.json");
    Pool pool(options());
    {
        const trace::Session session(file);
        pool.map(doze, std::vector{5, 5, 5, 5}, {.chunk_size = 2, .label = "mapped"});
        for (int x : pool.imap(doze, std::vector{6, 7}, {.label = "streamed"})) EXPECT_GE(x, 6);
        pool.apply({.label = "applied"}, doze, 3);
        pool.map_outcomes(fails_on_seven, std::vector{7}, {.label = "failed"});
    }
    pool.apply({.label = "after"}, doze, 1);
    std::map<std::string, std::multiset<int>> elements;
    const Json trace = Json::parse(file.contents());
    for (const Json& event : trace.at("traceEvents")) {
        if (event.at("ph") != "X") continue;
        const Json& arguments = event.at("args");
        elements[event.at("name")].insert(arguments.contains("element") ? arguments.at("element").get<int>() : -1);
        if (event.at("name") == "failed") {
            EXPECT_EQ(arguments.at("failed"), 1) << event;
        }
    }
    EXPECT_EQ(elements["mapped"], (std::multiset{0, 1, 2, 3}));
    EXPECT_EQ(elements["streamed"], (std::multiset{0, 1}));
    EXPECT_EQ(elements["applied"], std::multiset{-1});
    EXPECT_EQ(elements["failed"], std::multiset{0});
    EXPECT_FALSE(elements.contains("after"));
}

TEST_P(InsightEngine, ASessionKnowsAPoolThatEndedBeforeIt) {
    const TemporaryFile file("run.html");
    {
        const trace::Session session(file);
        Pool pool(options());
        pool.map(doze, std::vector{1, 2, 3}, {.label = "brief"});
    }
    const std::string page = file.contents();
    EXPECT_THAT(page, HasSubstr("brief"));
    EXPECT_THAT(page, HasSubstr("\"tasks\":3"));
}

// A task that waits for one of its own pool runs it meanwhile: the time is counted once.
TEST(InsightThreads, CountTheTimeOfATaskWithinATaskOnce) {
    static Pool* inner = nullptr;
    Pool pool({.workers = 1, .engine = mp::threads()});
    inner = &pool;
    pool.apply([] { return inner->apply(doze, 50); });
    const PoolStats stats = pool.stats();
    EXPECT_EQ(stats.tasks(), 2u);
    EXPECT_GE(stats.workers[0].working, 50ms);
    EXPECT_LE(stats.workers[0].working, stats.elapsed);
}

}  // namespace
}  // namespace mp::test
