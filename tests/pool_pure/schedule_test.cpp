// The scheduler as a pure function: no process, no clock.
#include "pool/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace {

using mp::pool::Schedule;

Schedule opened(std::size_t workers) {
    Schedule schedule(workers);
    for (std::size_t worker = 0; worker < workers; ++worker) schedule.open(worker);
    return schedule;
}

TEST(Schedule, GivesNothingToAWorkerThatIsNotOpen) {
    Schedule schedule(2);
    schedule.submit(1);
    EXPECT_FALSE(schedule.next());
    schedule.open(1);
    const auto assignment = schedule.next();
    ASSERT_TRUE(assignment);
    EXPECT_EQ(assignment->task, 1U);
    EXPECT_EQ(assignment->worker, 1U);
    EXPECT_FALSE(schedule.next());
}

TEST(Schedule, GivesTasksOutInTheOrderOfSubmission) {
    Schedule schedule = opened(1);
    for (Schedule::Task task = 1; task <= 100; ++task) schedule.submit(task);
    Schedule::Task expected = 1;
    while (schedule.waiting() + schedule.assigned() > 0) {
        while (schedule.next()) continue;
        EXPECT_EQ(schedule.done(0, 1000), expected++);
    }
    EXPECT_EQ(expected, 101U);
}

TEST(Schedule, FillsIdleWorkersBeforeGivingAnyoneASecondTask) {
    Schedule schedule = opened(4);
    for (Schedule::Task task = 1; task <= 4; ++task) schedule.submit(task);
    std::set<Schedule::Worker> used;
    while (const auto assignment = schedule.next()) used.insert(assignment->worker);
    EXPECT_EQ(used.size(), 4U);
}

TEST(Schedule, PrefersTheIdleWorkerThatWorkedLast) {
    Schedule schedule = opened(3);
    schedule.submit(1);
    const auto first = schedule.next();
    ASSERT_TRUE(first);
    schedule.done(first->worker, 1000);
    schedule.submit(2);
    EXPECT_EQ(schedule.next()->worker, first->worker);
}

TEST(Schedule, HoldsFewLongTasksAndManyShortOnesAWorker) {
    Schedule schedule = opened(1);
    for (Schedule::Task task = 1; task <= 20'000; ++task) schedule.submit(task);
    while (schedule.next()) continue;
    EXPECT_LE(schedule.assigned(0), 2U) << "nothing is known about them yet";
    for (int i = 0; i < 200; ++i) {
        schedule.done(0, 100);
        while (schedule.next()) continue;
    }
    EXPECT_GT(schedule.assigned(0), 16U);
    for (int i = 0; i < 10'000 && schedule.assigned(0) > 2; ++i) {
        schedule.done(0, 1'000'000'000);
        while (schedule.next()) continue;
    }
    EXPECT_LE(schedule.assigned(0), 2U);
    EXPECT_GT(schedule.waiting(), 10'000U);
}

TEST(Schedule, ADeathBlamesTheOldestTaskOnlyIfItWasRunning) {
    Schedule schedule = opened(1);
    for (Schedule::Task task : {1, 2, 3}) schedule.submit(task);
    while (schedule.next()) continue;
    const auto held = schedule.assigned(0);
    const auto idle_death = schedule.died(0, false);
    EXPECT_FALSE(idle_death.blamed);
    EXPECT_EQ(idle_death.waiting_again, held);
    schedule.open(0);
    EXPECT_EQ(schedule.next()->task, 1U) << "order is kept";
    const auto death = schedule.died(0, true);
    EXPECT_EQ(death.blamed, 1U);
    schedule.open(0);
    EXPECT_EQ(schedule.next()->task, 2U);
}

TEST(Schedule, ADeathOfAWorkerWithoutTasksBlamesNobody) {
    Schedule schedule = opened(2);
    EXPECT_FALSE(schedule.died(0, true).blamed);
    schedule.submit(1);
    EXPECT_EQ(schedule.next()->worker, 1U) << "the dead one gets nothing";
}

TEST(Schedule, UndoPutsTheTaskBackInItsPlace) {
    Schedule schedule = opened(1);
    schedule.submit(1);
    schedule.submit(2);
    schedule.undo(*schedule.next());
    EXPECT_EQ(schedule.assigned(), 0U);
    EXPECT_EQ(schedule.next()->task, 1U);
}

TEST(Schedule, ATaskThatWasHandedOutCannotBeCancelled) {
    Schedule schedule = opened(1);
    schedule.submit(1);
    schedule.submit(2);
    ASSERT_TRUE(schedule.next());
    EXPECT_FALSE(schedule.cancel(1));
    EXPECT_TRUE(schedule.cancel(2));
    EXPECT_FALSE(schedule.cancel(2));
    EXPECT_FALSE(schedule.next());
}

TEST(Schedule, TheNewestTaskOfAWorkerCanBeTakenBackForAnother) {
    Schedule schedule = opened(2);
    for (Schedule::Task task = 1; task <= 4; ++task) schedule.submit(task);
    while (schedule.next()) continue;
    EXPECT_FALSE(schedule.imbalanced());
    EXPECT_TRUE(schedule.done(1, 100));
    EXPECT_TRUE(schedule.done(1, 100));
    EXPECT_TRUE(schedule.imbalanced());  // one has two, the other none
    EXPECT_FALSE(schedule.withdraw(0, 99));
    // Tasks went out alternately, so worker 0 holds two of the four; only the newest of them goes.
    Schedule::Task taken = 0;
    for (Schedule::Task task = 1; task <= 4 && !taken; ++task)
        if (schedule.withdraw(0, task)) taken = task;
    ASSERT_NE(taken, 0U);
    EXPECT_EQ(schedule.assigned(0), 1U);
    EXPECT_EQ(schedule.waiting(), 1U);
    EXPECT_FALSE(schedule.imbalanced());
    schedule.close(0);
    const auto assignment = schedule.next();
    ASSERT_TRUE(assignment);
    EXPECT_EQ(assignment->task, taken);
    EXPECT_EQ(assignment->worker, 1U);
}

TEST(Schedule, KnowsAboutHowLongItsWorkersAreBusy) {
    Schedule schedule = opened(2);
    for (Schedule::Task task = 1; task <= 6; ++task) schedule.submit(task);
    ASSERT_TRUE(schedule.next());
    EXPECT_EQ(schedule.backlog().count(), 0);  // how long a task takes is not known yet
    EXPECT_TRUE(schedule.done(0, 1000) || schedule.done(1, 1000));
    while (schedule.next()) continue;
    EXPECT_EQ(schedule.backlog(), std::chrono::nanoseconds(schedule.assigned() * 1000 / 2));
}

TEST(Schedule, AForgottenTaskLeavesTheOthersInOrder) {
    Schedule schedule = opened(1);
    for (Schedule::Task task = 1; task <= 9; ++task) schedule.submit(task);
    while (schedule.next()) continue;
    schedule.done(0, 100);  // short ones: more fit now
    while (schedule.next()) continue;
    const auto held = schedule.assigned(0);
    ASSERT_GE(held, 4U);
    EXPECT_TRUE(schedule.forget(0, 3));
    EXPECT_FALSE(schedule.forget(0, 3));
    EXPECT_EQ(schedule.assigned(), held - 1);
    EXPECT_EQ(schedule.done(0, 100), 2U);
    EXPECT_EQ(schedule.done(0, 100), 4U);
}

// Many more workers than tasks, so that a look at each would show: here it only must not go wrong.
TEST(Schedule, GivesEachOfAThousandWorkersOneTaskBeforeAnyASecond) {
    Schedule schedule = opened(1000);
    for (Schedule::Task task = 0; task < 1500; ++task) schedule.submit(task);
    std::set<Schedule::Worker> used;
    for (int i = 0; i < 1000; ++i) used.insert(schedule.next()->worker);
    EXPECT_EQ(used.size(), 1000U);
    EXPECT_EQ(schedule.assigned(schedule.next()->worker), 2U);
}

TEST(Schedule, HasRoomUntilEveryOpenWorkerHasItsWindow) {
    Schedule schedule(2);
    EXPECT_FALSE(schedule.room()) << "nobody is open";
    schedule.open(1);
    EXPECT_TRUE(schedule.room());
    for (Schedule::Task task = 1; task <= schedule.window(); ++task) {
        EXPECT_TRUE(schedule.room());
        schedule.submit(task);
        ASSERT_TRUE(schedule.next());
    }
    EXPECT_FALSE(schedule.room());
    schedule.open(0);
    EXPECT_TRUE(schedule.room());
    schedule.close(0);
    EXPECT_FALSE(schedule.room());
    schedule.done(1, 1'000'000'000);
    EXPECT_TRUE(schedule.room());
}

TEST(Schedule, DoneOfAnIdleWorkerIsNothing) {
    Schedule schedule = opened(1);
    EXPECT_FALSE(schedule.done(0, 5));
    EXPECT_EQ(schedule.assigned(), 0U);
}

// Random submits, ends, deaths, refused hand-overs and cancellations against a model that keeps everything in plain
// sets: each task ends exactly once, is blamed only when it was the one that ran, and starts in order of submission
// unless it was given back.
TEST(Schedule, KeepsToItsModelUnderRandomEvents) {
    for (unsigned seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto pick = [&](std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random); };
        const std::size_t workers = 1 + pick(6);
        Schedule schedule = opened(workers);
        std::vector<std::deque<Schedule::Task>> held(workers);  // what each worker has, in order
        std::vector<bool> open(workers, true);
        std::set<Schedule::Task> waiting;
        std::map<Schedule::Task, int> ended;
        Schedule::Task next = 1;
        for (int step = 0; step < 3000; ++step) {
            switch (pick(12)) {
                case 0: case 1: case 2:
                    waiting.insert(next);
                    schedule.submit(next++);
                    break;
                case 3: case 4: case 5: case 6: {
                    const auto assignment = schedule.next();
                    const bool room = std::any_of(held.begin(), held.end(), [&](const auto& tasks) {
                        const auto worker = static_cast<std::size_t>(&tasks - held.data());
                        return open[worker] && tasks.size() < schedule.window();
                    });
                    ASSERT_EQ(bool(assignment), room && !waiting.empty());
                    if (!assignment) break;
                    ASSERT_EQ(assignment->task, *waiting.begin()) << "not in order";
                    ASSERT_TRUE(open[assignment->worker]);
                    for (std::size_t worker = 0; worker < workers; ++worker) {
                        if (open[worker] && worker != assignment->worker) {
                            ASSERT_GE(held[worker].size(), held[assignment->worker].size());
                        }
                    }
                    if (pick(8) == 0) {
                        schedule.undo(*assignment);
                        break;
                    }
                    waiting.erase(assignment->task);
                    held[assignment->worker].push_back(assignment->task);
                    break;
                }
                case 7: case 8: case 9: {
                    const std::size_t worker = pick(workers);
                    const auto task = schedule.done(worker, 1 + pick(2'000'000));
                    ASSERT_EQ(bool(task), !held[worker].empty());
                    if (!task) break;
                    ASSERT_EQ(*task, held[worker].front());
                    held[worker].pop_front();
                    ++ended[*task];
                    break;
                }
                case 10: {
                    const std::size_t worker = pick(workers);
                    const bool running = pick(2) == 0;
                    const auto loss = schedule.died(worker, running);
                    ASSERT_EQ(bool(loss.blamed), running && !held[worker].empty());
                    if (loss.blamed) {
                        ASSERT_EQ(*loss.blamed, held[worker].front());
                        held[worker].pop_front();
                        if (pick(2) == 0) {
                            schedule.submit_first(*loss.blamed);
                            waiting.insert(*loss.blamed);
                        } else {
                            ++ended[*loss.blamed];
                        }
                    }
                    ASSERT_EQ(loss.waiting_again, held[worker].size());
                    waiting.insert(held[worker].begin(), held[worker].end());
                    held[worker].clear();
                    open[worker] = pick(3) != 0;
                    if (open[worker]) schedule.open(worker);
                    // Two deaths can leave the queue out of order: a younger task of the first, an older of the second.
                    // The model asks for order only of one worker's tasks, so start again from what it says.
                    const auto order = schedule.cancel_waiting();
                    ASSERT_EQ(std::set<Schedule::Task>(order.begin(), order.end()), waiting);
                    ASSERT_EQ(order.size(), waiting.size());
                    for (const auto task : waiting) schedule.submit(task);
                    break;
                }
                default:
                    if (next > 1) {
                        const Schedule::Task task = 1 + pick(next - 1);
                        ASSERT_EQ(schedule.cancel(task), waiting.contains(task));
                        if (waiting.erase(task)) ++ended[task];
                    }
            }
            std::size_t assigned = 0;
            for (const auto& tasks : held) assigned += tasks.size();
            ASSERT_EQ(schedule.assigned(), assigned);
            ASSERT_EQ(schedule.waiting(), waiting.size());
        }
        for (std::size_t worker = 0; worker < workers; ++worker) schedule.open(worker);
        while (schedule.waiting() + schedule.assigned() > 0) {
            while (schedule.next()) continue;
            for (std::size_t worker = 0; worker < workers; ++worker)
                if (const auto task = schedule.done(worker, 1000)) ++ended[*task];
        }
        ASSERT_EQ(ended.size(), next - 1);
        for (const auto& [task, times] : ended) ASSERT_EQ(times, 1) << "task " << task;
    }
}

}  // namespace
