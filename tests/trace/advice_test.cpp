// What advise() says, and when it keeps silent.
#include <multiprocessing/stats.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace mp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Two workers on two CPUs that were busy for a second with tasks of a millisecond.
PoolStats good_run() {
    PoolStats stats;
    stats.name = "parse";
    stats.elapsed = 1s;
    stats.cpus = 2;
    stats.submitted = 1980;
    for (int number : {1, 2}) {
        WorkerStats worker;
        worker.number = number;
        worker.pid = 100 + number;
        worker.state = WorkerState::waiting;
        worker.tasks = 990;
        worker.start = 1ms;
        worker.working = 990ms;
        worker.waiting = 9ms;
        worker.sending = 1ms;
        stats.workers.push_back(worker);
    }
    stats.times.add(1ms, 1980);
    stats.slowest.push_back({.label = "parse", .duration = 2ms, .worker = 1});
    return stats;
}

TEST(Advice, HasNothingToSayAboutAGoodRun) { EXPECT_THAT(advise(good_run()), IsEmpty()); }

TEST(Advice, SaysThatTinyTasksShouldBeBatched) {
    PoolStats stats = good_run();
    stats.times = {};
    stats.times.add(800ns, 100000);
    stats.submitted = 100000;
    EXPECT_THAT(advise(stats),
                ElementsAre("tasks take 0.8 µs: batch larger, or use map, which hands out many at once"));
    stats.elements = 200000;  // most of it by map, which batches already
    EXPECT_THAT(advise(stats), IsEmpty());
}

TEST(Advice, NamesTheOneTaskThatTookMostOfTheTime) {
    PoolStats stats = good_run();
    stats.slowest.front() = {.label = "parse", .element = 7, .duration = 610ms, .worker = 2};
    EXPECT_THAT(advise(stats),
                ElementsAre("one task took 61 % of the wall time, parse(#7): split it, or begin with it"));
    stats.slowest.front().count = 100;
    EXPECT_THAT(advise(stats), ElementsAre(HasSubstr("one chunk of 100 elements took 61 %")));
    stats.workers.pop_back();  // with one worker that is no harm
    EXPECT_THAT(advise(stats), IsEmpty());
}

TEST(Advice, SaysThatWorkersShareCpus) {
    PoolStats stats = good_run();
    stats.workers.resize(4, stats.workers.front());
    EXPECT_THAT(advise(stats), ElementsAre("4 workers share 2 CPUs: more workers than CPUs help only tasks that wait"));
}

TEST(Advice, SaysWhatElseTakesTheWorkersTime) {
    PoolStats sending = good_run();
    for (auto& worker : sending.workers) worker.working = 500ms, worker.sending = 490ms;
    EXPECT_THAT(advise(sending), ElementsAre(HasSubstr("handing results over takes 49 %")));
    PoolStats starting = good_run();
    for (auto& worker : starting.workers) worker.init = 1s;
    EXPECT_THAT(advise(starting), ElementsAre(HasSubstr("starting and initializing took 50 %")));
    PoolStats waiting = good_run();
    for (auto& worker : waiting.workers) worker.working = 200ms, worker.waiting = 799ms;
    EXPECT_THAT(advise(waiting), ElementsAre(HasSubstr("workers waited 80 %")));
    PoolStats dying = good_run();
    dying.crashes = 100;
    EXPECT_THAT(advise(dying), ElementsAre(HasSubstr("100 workers died")));
}

TEST(Advice, SaysNothingAboutARunTooShortToJudge) {
    PoolStats stats = good_run();
    stats.elapsed = 5ms;
    stats.slowest.front().duration = 5ms;
    EXPECT_THAT(advise(stats), IsEmpty());
}

TEST(PoolStats, PrintsATableWithWholeColumns) {
    PoolStats stats = good_run();
    stats.slowest.push_back(
        {.label = "parse", .element = 1234567, .count = 3, .duration = 1500us, .begin = 12s, .worker = 2});
    stats.advice = {"do less"};
    std::ostringstream out;
    out << stats;
    EXPECT_EQ(out.str(),
              "pool \"parse\": 1 980 tasks in 1 s, 2 k/s, workers used to 99 %\n"
              "\n"
              "worker  pid  tasks  start  init  waiting  working  sending  used  restarts\n"
              "1       101    990   1 ms  0 ns     9 ms   990 ms     1 ms  99 %         0\n"
              "2       102    990   1 ms  0 ns     9 ms   990 ms     1 ms  99 %         0\n"
              "\n"
              "task times: median 983 µs, 90 % within 983 µs, 99 % within 983 µs, longest 2 ms\n"
              "\n"
              "slowest\n"
              "  parse                          2 ms  worker 1  at 0 ns\n"
              "  parse(#1234567 to #1234569)  1.5 ms  worker 2  at 12 s\n"
              "\n"
              "advice\n"
              "  do less\n");
}

}  // namespace
}  // namespace mp
