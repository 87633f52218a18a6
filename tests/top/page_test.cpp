// What mp-top makes of what it sees.
#include "page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arguments.hpp"
#include "process.hpp"
#include "text.hpp"

namespace top {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

mp::RunningPool pool_with(std::uint64_t tasks_of_first, std::uint64_t tasks_of_second) {
    mp::RunningPool pool{.pid = 50, .program = "./parse", .stats = {}};
    pool.stats.name = "parse";
    pool.stats.elapsed = 90s;
    for (const std::uint64_t tasks : {tasks_of_first, tasks_of_second}) {
        mp::WorkerStats worker;
        worker.number = static_cast<int>(pool.stats.workers.size()) + 1;
        worker.pid = 50 + worker.number;
        worker.state = mp::WorkerState::working;
        worker.task = "parse(#7)";
        worker.task_time = 1500ms;
        worker.tasks = tasks;
        pool.stats.workers.push_back(worker);
    }
    return pool;
}

TEST(TopPage, ShowsRatesFromTheSecondLookOn) {
    Watcher watcher;
    const auto at = Watcher::Clock::now();
    const std::map<pid_t, Usage> before{{51, {10, 1 << 20}}, {52, {10, 5 << 20}}};
    const std::map<pid_t, Usage> after{{51, {11, 1 << 20}}, {52, {12, 5 << 20}}};
    auto page = watcher.look({pool_with(100, 200)}, before, Order::worker, at);
    EXPECT_FALSE(page[0].rate);
    EXPECT_FALSE(page[0].workers[0].cpu);
    page = watcher.look({pool_with(300, 700)}, after, Order::worker, at + 2s);
    EXPECT_DOUBLE_EQ(*page[0].rate, 350);
    EXPECT_DOUBLE_EQ(*page[0].workers[0].rate, 100);
    EXPECT_DOUBLE_EQ(*page[0].workers[0].cpu, 0.5);
    EXPECT_DOUBLE_EQ(*page[0].workers[1].cpu, 1);
}

TEST(TopPage, SortsWorkers) {
    Watcher watcher;
    const std::map<pid_t, Usage> usages{{51, {10, 9 << 20}}, {52, {10, 5 << 20}}};
    const auto first = [&](Order order) {
        return watcher.look({pool_with(1, 2)}, usages, order, Watcher::Clock::now())[0].workers[0].stats.number;
    };
    EXPECT_EQ(first(Order::worker), 1);
    EXPECT_EQ(first(Order::tasks), 2);
    EXPECT_EQ(first(Order::memory), 1);
}

TEST(TopPage, SurvivesCountersThatGoBack) {
    Watcher watcher;
    const auto at = Watcher::Clock::now();
    watcher.look({pool_with(500, 500)}, {}, Order::worker, at);
    EXPECT_DOUBLE_EQ(*watcher.look({pool_with(1, 2)}, {}, Order::worker, at + 1s)[0].rate, 0);
}

TEST(TopText, IsNeverWiderThanTheTerminal) {
    Watcher watcher;
    const auto page = watcher.look({pool_with(100, 200)}, {}, Order::worker, Watcher::Clock::now());
    for (std::size_t columns = 0; columns < 150; ++columns)
        for (const Line& line : lines_of(page, columns)) EXPECT_LE(line.text.size(), columns);
    EXPECT_THAT(lines_of(page, 200)[0].text, HasSubstr("50  pool \"parse\"  ./parse"));
    EXPECT_THAT(lines_of(page, 200)[3].text, HasSubstr("parse(#7)"));
}

TEST(TopText, LeavesOutWholeCountsThatHaveNoRoom) {
    Watcher watcher;
    auto pool = pool_with(100, 200);
    pool.stats.crashes = 3;
    pool.stats.retried = 12345;
    const auto page = watcher.look({pool}, {}, Order::worker, Watcher::Clock::now());
    EXPECT_TRUE(lines_of(page, 200)[1].text.ends_with("  retried 12345"));
    const std::string all = lines_of(page, 200)[1].text;
    EXPECT_TRUE(lines_of(page, all.size() - 1)[1].text.ends_with("handed out 0")) << lines_of(page, all.size() - 1)[1].text;
    EXPECT_THAT(lines_of(page, 70)[1].text, HasSubstr("crashes 3"));
}

TEST(TopText, SaysThatThereIsNothingToSee) { EXPECT_THAT(lines_of({}, 80)[0].text, HasSubstr("no pool is running")); }

TEST(TopProcess, ReadsStatWhateverTheCommandIsCalled) {
    const std::string rest = " S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 100 1000000 300 0";
    for (const std::string name : {"(plain)", "(a b) c)", "()) 9 9 9)"}) {
        const auto usage = parse_stat("12 " + name + rest);
        ASSERT_TRUE(usage) << name;
        EXPECT_DOUBLE_EQ(usage->cpu_seconds, 3);
        EXPECT_EQ(usage->resident, 300u * 4096);
    }
    EXPECT_FALSE(parse_stat("nonsense"));
    EXPECT_FALSE(parse_stat("12 (x) S 1 2"));
    EXPECT_FALSE(usage_of(0));
}

TEST(TopArguments, AreCheckedWithOneSentence) {
    const auto refused = [](const std::vector<std::string>& words) {
        const auto parsed = parse_arguments(words);
        const auto* exit = std::get_if<Exit>(&parsed);
        return exit && exit->code == 2 ? exit->text : "accepted";
    };
    EXPECT_THAT(refused({"--delay", "0"}), HasSubstr("--delay must be between"));
    EXPECT_THAT(refused({"--sort", "colour"}), HasSubstr("--sort cannot be 'colour'"));
    EXPECT_THAT(refused({"-3"}), HasSubstr("mp-top: "));
    EXPECT_THAT(refused({"--nothing"}), HasSubstr("there is no option '--nothing'"));
    EXPECT_EQ(std::get<Arguments>(parse_arguments({"--sort", "cpu", "77"})).pid, 77);
}

}  // namespace
}  // namespace top
