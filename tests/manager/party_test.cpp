// What managers promise to other processes, however those were started, and to threads.
#include "manager/manager_fixture.hpp"

#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/party.hpp"

namespace {

using namespace std::chrono_literals;
using mp::Manager;
using mp::test::Party;
using mp::test::Tally;
using testing::ElementsAre;
namespace managed = mp::managed;

class ManagedParties : public mp::test::EveryMethod {};

TEST_P(ManagedParties, LoseNoUpdate) {
    Manager manager;
    auto counts = manager.dict<std::string, int>();
    auto total = manager.Value<int>(0);
    std::vector<Party> parties;
    for (int i = 0; i < 3; ++i) {
        parties.emplace_back(
            GetParam(),
            [](managed::Dict<std::string, int> words, managed::Value<int> sum) {
                for (int k = 0; k < 50; ++k) {
                    words.update("word", [](int& n) { ++n; });
                    words["other"] += 2;
                    sum += 1;
                }
                return 0;
            },
            counts, total);
    }
    for (auto& party : parties) EXPECT_EQ(party.wait(), 0);
    EXPECT_EQ(counts.at("word"), 150);
    EXPECT_EQ(counts.at("other"), 300);
    EXPECT_EQ(total.get(), 150);
}

// cpython: TestSyncManagerTypes.test_event
TEST_P(ManagedParties, SeeWhatEachOtherDoToTheSameObjects) {
    Manager manager;
    auto outer = manager.list<managed::List<int>>({manager.list<int>({1})});
    auto names = manager.Namespace();
    auto queue = manager.JoinableQueue<std::string>(1);
    auto begin = manager.Event();
    Party party(
        GetParam(),
        [](managed::List<managed::List<int>> lists, managed::Namespace bag, managed::JoinableQueue<std::string> in,
           managed::Event event) {
            event.wait();
            lists.at(0).append(bag.get<int>("answer"));
            for (int i = 0; i < 10; ++i) {
                if (in.get() != std::to_string(i)) return 1;
                in.task_done();
            }
            try {
                lists.at(7);
                return 2;
            } catch (const std::out_of_range&) {
                return 0;
            }
        },
        outer, names, queue, begin);
    names.set("answer", 42);
    begin.set();
    for (int i = 0; i < 10; ++i) queue.put(std::to_string(i));
    queue.join();
    EXPECT_EQ(party.wait(), 0);
    EXPECT_THAT(outer.at(0).copy(), ElementsAre(1, 42));
}

// cpython: TestSyncManagerTypes.test_lock, TestSyncManagerTypes.test_condition, TestSyncManagerTypes.test_barrier
TEST_P(ManagedParties, ExcludeWakeAndWaitForEachOther) {
    Manager manager;
    auto lock = manager.RLock();
    auto condition = manager.Condition();
    auto barrier = manager.Barrier(2);
    auto permits = manager.BoundedSemaphore(1);
    auto turn = manager.Value<int>(0);
    Party party(
        GetParam(),
        [](managed::RLock mutex, managed::Condition changed, managed::Barrier meeting, managed::BoundedSemaphore one,
           managed::Value<int> whose) {
            meeting.wait();
            if (mutex.try_lock() || one.try_acquire()) return 1;  // the other has both
            meeting.wait();
            one.acquire();
            const std::scoped_lock both(mutex, changed);
            whose.set(1);
            changed.notify_all();
            one.release();
            return 0;
        },
        lock, condition, barrier, permits, turn);
    {
        const std::scoped_lock mine(lock);
        permits.acquire();
        barrier.wait();
        barrier.wait();
        permits.release();
    }
    {
        const std::scoped_lock mine(condition);
        while (turn.get() != 1) ASSERT_TRUE(condition.wait_for(60s));
    }
    EXPECT_EQ(party.wait(), 0);
    EXPECT_TRUE(permits.try_acquire());
}

struct Account {
    int balance = 0;
    int pay(int amount) {
        if (amount > balance) throw std::domain_error("not enough");
        return balance -= amount;
    }
};

// cpython: _TestMyManager.test_mymanager_context_prestarted
TEST_P(ManagedParties, ConnectByAddressAndKeyAndShareOwnClasses) {
    Manager manager({.address = "localhost:0", .authkey = "shared"});
    Party party(
        GetParam(),
        [](std::string address) {
            auto there = Manager::connect(address, "shared");
            auto mine = there.create<Account>();
            mine.apply([](Account& account) { account.balance = 10; });
            if (mine.call<&Account::pay>(3) != 7) return 1;
            try {
                mine.call<&Account::pay>(100);
                return 2;
            } catch (const std::domain_error&) {
            }
            try {
                (void)Manager::connect(address, "guessed");
                return 3;
            } catch (const mp::AuthenticationError&) {
                return 0;
            }
        },
        manager.address());
    EXPECT_EQ(party.wait(), 0);
}

// cpython: _TestContainers.test_dict_proxy_nested
TEST_P(ManagedParties, LeaveBehindOnlyWhatTheyGaveToOthers) {
    Manager manager;
    auto alive = manager.Value<int>(0);
    auto shelf = manager.dict<std::string, mp::Proxy<Tally>>();
    Party party(
        GetParam(),
        [](managed::Dict<std::string, mp::Proxy<Tally>> to, managed::Value<int> counter, std::string address,
           std::string key) {
            auto there = Manager::connect(address, key);
            auto given = there.create<Tally>(counter);
            to.set("given", given);
            const auto kept = there.create<Tally>(counter);
            return counter.get() == 2 ? 0 : 1;
        },
        shelf, alive, manager.address(), manager.authkey());
    EXPECT_EQ(party.wait(), 0);
    EXPECT_TRUE(mp::test::eventually([&] { return alive.get() == 1; }));
    EXPECT_EQ(shelf.at("given").call<&Tally::touch>(), 1);
    shelf.clear();
    EXPECT_TRUE(mp::test::eventually([&] { return alive.get() == 0; }));
}

MP_EVERY_METHOD(ManagedParties);

}  // namespace
