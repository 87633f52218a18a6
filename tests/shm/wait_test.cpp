#include "shm/wait.hpp"

#include <gtest/gtest.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>

#include <memory>
#include <thread>

#include "os/mapping.hpp"
#include "support/child.hpp"

namespace mp::shm {
namespace {

using base::Deadline;
using namespace std::chrono_literals;

struct Table {
    WakeWord ping_word, pong_word;
    std::atomic<std::uint64_t> ping{0}, pong{0};
};

class SharedTable {
  public:
    SharedTable() {
        auto file = os::memory_file("test", 4096);
        mapping_ = std::move(*os::Mapping::shared(file->get(), 4096));
        table_ = new (mapping_.data()) Table;
    }
    Table* operator->() { return table_; }

  private:
    os::Mapping mapping_;
    Table* table_;
};

template <Ordering ordering>
void answer(Table& table, std::uint64_t rounds) {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
        wait_until<ordering>(table.ping_word, [&] { return table.ping.load(std::memory_order_acquire) >= i; },
                             Deadline::never());
        table.pong.store(i, std::memory_order_release);
        notify<ordering>(table.pong_word, 1);
    }
}

template <Ordering ordering>
void ask(Table& table, std::uint64_t rounds) {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
        table.ping.store(i, std::memory_order_release);
        notify<ordering>(table.ping_word, 1);
        ASSERT_TRUE(wait_until<ordering>(
            table.pong_word, [&] { return table.pong.load(std::memory_order_acquire) >= i; }, Deadline::after(20s)));
    }
}

class WaitAtEverySpinCap : public testing::TestWithParam<int> {
  protected:
    WaitAtEverySpinCap() { set_spin_cap(std::chrono::microseconds(GetParam())); }
    ~WaitAtEverySpinCap() override { set_spin_cap(before_); }

  private:
    std::chrono::nanoseconds before_ = spin_cap();
};
INSTANTIATE_TEST_SUITE_P(Caps, WaitAtEverySpinCap, testing::Values(0, 50, 200));

// A lost wake-up would cost recheck_interval each: many of them show in the time.
constexpr std::uint64_t rounds = 3000;
constexpr auto plausible = 20s;

TEST_P(WaitAtEverySpinCap, PingPongBetweenThreadsLosesNoWakeUp) {
    SharedTable table;
    const auto start = Deadline::Clock::now();
    std::jthread other([&] { answer<Ordering::asymmetric>(*table.operator->(), rounds); });
    ask<Ordering::asymmetric>(*table.operator->(), rounds);
    EXPECT_LT(Deadline::Clock::now() - start, plausible);
}

TEST_P(WaitAtEverySpinCap, PingPongBetweenProcessesLosesNoWakeUp) {
    SharedTable table;
    const auto start = Deadline::Clock::now();
    test::Child child([&] { return answer<Ordering::asymmetric>(*table.operator->(), rounds), 0; });
    ask<Ordering::asymmetric>(*table.operator->(), rounds);
    EXPECT_EQ(child.wait(), 0);
    EXPECT_LT(Deadline::Clock::now() - start, plausible);
}

TEST_P(WaitAtEverySpinCap, PingPongWithFencesLosesNoWakeUp) {
    SharedTable table;
    const auto start = Deadline::Clock::now();
    test::Child child([&] { return answer<Ordering::fenced>(*table.operator->(), rounds), 0; });
    ask<Ordering::fenced>(*table.operator->(), rounds);
    EXPECT_EQ(child.wait(), 0);
    EXPECT_LT(Deadline::Clock::now() - start, plausible);
}

TEST_P(WaitAtEverySpinCap, EndsAtItsDeadline) {
    SharedTable table;
    const auto start = Deadline::Clock::now();
    EXPECT_FALSE(wait_until(table->ping_word, [] { return false; }, Deadline::after(30ms)));
    EXPECT_GE(Deadline::Clock::now() - start, 30ms);
    EXPECT_FALSE(wait_until(table->ping_word, [] { return false; }, Deadline::now()));
}

TEST(Wait, OneWakeUpForEachOfSeveralSleepersReachesAll) {
    SharedTable table;
    std::atomic<int> taken{0};
    {
        std::vector<std::jthread> sleepers;
        for (int i = 0; i < 6; ++i) {
            sleepers.emplace_back([&] {
                EXPECT_TRUE(wait_until(
                    table->ping_word,
                    [&] {
                        std::uint64_t seen = table->ping.load();
                        while (seen > 0 && !table->ping.compare_exchange_weak(seen, seen - 1)) {
                        }
                        return seen > 0;
                    },
                    Deadline::after(30s)));
                ++taken;
            });
        }
        for (int i = 0; i < 6; ++i) {
            table->ping.fetch_add(1);
            notify(table->ping_word, 1);
        }
    }
    EXPECT_EQ(taken.load(), 6);
}

TEST(Wait, AKilledSleeperCostsOneSpareWakeUp) {
    SharedTable table;
    test::Child child([&] {
        table->pong.store(1);
        wait_until(table->ping_word, [&] { return table->ping.load() != 0; }, Deadline::never());
        return 0;
    });
    while (!has_sleeper(table->ping_word)) std::this_thread::yield();
    child.kill();
    EXPECT_EQ(child.wait(), -SIGKILL);
    EXPECT_TRUE(has_sleeper(table->ping_word));
    notify(table->ping_word, 1);
    EXPECT_FALSE(has_sleeper(table->ping_word));
}

TEST(Wait, GivesUpWhenToldToAfterAWake) {
    SharedTable table;
    Patience patience;
    EXPECT_FALSE(wait_until(table->ping_word, [] { return false; }, Deadline::after(60s), patience, [] { return false; }));
}

TEST(Wait, AForkKeepsTheRegistrationForBarriers) {
    if (!internal::membarrier_ready) GTEST_SKIP() << "no membarrier here";
    constexpr int get_registrations = 1 << 9;
    if (::syscall(SYS_membarrier, get_registrations, 0, 0) < 0) GTEST_SKIP() << "this kernel does not tell";
    test::Child child([&] {
        const long registered = ::syscall(SYS_membarrier, get_registrations, 0, 0);
        return registered & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED ? 0 : 1;
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(Patience, GrowsWithShortWaitsAndShrinksWithLongOnes) {
    Patience patience;
    const auto first = patience.limit();
    for (int i = 0; i < 20; ++i) patience.learn(1s);
    EXPECT_LT(patience.limit(), first);
    EXPECT_GT(patience.limit(), 0ns);
    patience.learn(spin_cap() / 2);
    EXPECT_GE(patience.limit(), spin_cap() * 9 / 10);
}

TEST(SpinCap, FollowsWhatWakingSomebodyCostsWithinBounds) {
    if (spin_cap() == 0ns) GTEST_SKIP() << "one CPU: nobody spins";
    const auto after = [](std::chrono::nanoseconds took) {
        for (int i = 0; i < 100; ++i) internal::learn_wake(i % 3 == 0 ? 50ms : took);
        return spin_cap();
    };
    // In a process of its own: no other test has set the cap there, and none inherits this one.
    test::Child child([&] {
        if (after(20us) < 60us || spin_cap() > 100us) return 1;
        if (after(1ns) < 10us || spin_cap() > 25us) return 2;
        if (after(1s) != 200us) return 3;
        set_spin_cap(30us);
        return after(20us) == 30us ? 0 : 4;
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(Pace, LooksAwayAsLongAsThatBringsManyMessages) {
    if (spin_cap() == 0ns) GTEST_SKIP() << "one CPU: nobody spins";
    Pace pace;
    const auto calls_until_a_look_away = [&] {
        int calls = 1;
        while (!pace.look_away()) ++calls;
        return calls;
    };
    EXPECT_GT(calls_until_a_look_away(), 10) << "in request and answer it costs time";
    pace.found(1);
    const int second = calls_until_a_look_away();
    pace.found(0);
    EXPECT_GT(calls_until_a_look_away(), second);
    pace.found(100);
    for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(pace.look_away());
        pace.found(100);
    }
    EXPECT_TRUE(pace.look_away());
    pace.found(1);
    EXPECT_FALSE(pace.look_away());
}

}  // namespace
}  // namespace mp::shm
