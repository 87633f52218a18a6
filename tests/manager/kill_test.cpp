// A client of a manager killed at each of its steps - system calls, and pieces of messages - and its server at each of
// its own, while others need the same objects.
#include "manager/manager_fixture.hpp"

#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "support/kill_each_step.hpp"
#include "support/resources.hpp"

namespace {

using namespace std::chrono_literals;
using mp::Closed;
using mp::Manager;
using mp::test::eventually;
using mp::test::kill_each_step;
using mp::test::Tally;
using testing::HasSubstr;
namespace managed = mp::managed;

mp::test::Snapshot at_first;

/// What the server holds, looked at from within.
class ServerLeaks {
  public:
    explicit ServerLeaks(const Manager& manager) : server_(manager.Value<int>(0)) {
        server_.apply([](auto&) { at_first = mp::test::take_snapshot(::getpid()); });
    }
    void expect_none() const {
        std::vector<std::string> left;
        EXPECT_TRUE(eventually([&] {
            left = server_.apply([](auto&) { return mp::test::leaks(at_first, mp::test::take_snapshot(::getpid())); });
            return left.empty();
        })) << testing::PrintToString(left);
    }

  private:
    managed::Value<int> server_;
};

using ManagedKills = mp::test::LeakCheck;

struct Pair {
    int left = 0, right = 0;  // always equal
};

TEST_F(ManagedKills, AClientsChangesOfContainersAreWholeOrNotMade) {
    Manager manager;
    auto dict = manager.dict<std::string, Pair>({{"pair", {}}});
    auto list = manager.list<int>();
    const ServerLeaks leaks(manager);
    int before = 0;
    EXPECT_GE(kill_each_step(
                  [&] {
                      dict.update("pair", [](Pair& pair) {
                          ++pair.left;
                          ++pair.right;
                      });
                      list.extend({1, 2, 3});
                      dict.set("other", dict.at("pair"));
                  },
                  [&](bool finished) {
                      const Pair pair = dict.at("pair");
                      ASSERT_EQ(pair.left, pair.right);
                      const int made = pair.left - before;
                      before = pair.left;
                      ASSERT_TRUE(finished ? made == 1 : made == 0 || made == 1) << made;
                      const auto added = list.copy();
                      // One after the other: what comes later in the program is there only with what comes earlier.
                      ASSERT_THAT(added, testing::AnyOf(std::vector<int>(), std::vector{1, 2, 3}));
                      ASSERT_TRUE(made == 1 || added.empty());
                      ASSERT_TRUE(!finished || !added.empty());
                      list.clear();
                      ASSERT_EQ(dict.pop("other").value_or(pair).left, before);
                  }),
              50);
    leaks.expect_none();
}

TEST_F(ManagedKills, AClientAtAQueueLosesAtMostWhatItHadTaken) {
    Manager manager;
    auto queue = manager.Queue<std::string>(2);
    const std::string item = "an item of some length, so that it leaves in pieces";
    (void)queue.try_get();  // the thread that serves this process has all that it needs for waiting
    const ServerLeaks leaks(manager);
    EXPECT_GE(kill_each_step(
                  [&] {
                      queue.put(item);
                      queue.put(item);
                      (void)queue.try_put(item);
                      queue.get();
                  },
                  [&](bool finished) {
                      std::size_t left = 0;
                      for (; const auto got = queue.try_get(); ++left) ASSERT_EQ(*got, item);
                      ASSERT_LE(left, 2U);
                      ASSERT_TRUE(!finished || left == 1);
                      ASSERT_TRUE(queue.put_for("mine", 60s));
                      ASSERT_EQ(queue.get_for(60s), "mine");
                  }),
              50);
    leaks.expect_none();
}

TEST_F(ManagedKills, AClientsLocksAndPermitsAreGivenOn) {
    Manager manager;
    auto lock = manager.Lock();
    auto again = manager.RLock();
    auto permits = manager.BoundedSemaphore(2);
    auto value = manager.Value<Pair>();
    const auto all_free = [&] {
        for (auto* one : {&lock, static_cast<managed::Lock*>(&again)}) {
            ASSERT_TRUE(one->try_lock_for(60s));
            one->unlock();
        }
        ASSERT_TRUE(permits.try_acquire_for(60s));
        ASSERT_TRUE(permits.try_acquire_for(60s));
        ASSERT_FALSE(permits.try_acquire());
        permits.release(2);
    };
    // Waits once, so that the thread that serves this process has all that it needs for that.
    permits.acquire();
    permits.acquire();
    ASSERT_FALSE(permits.try_acquire_for(1ms));
    permits.release(2);
    const ServerLeaks leaks(manager);
    EXPECT_GE(kill_each_step(
                  [&] {
                      const std::scoped_lock both(lock, again);
                      again.lock();
                      permits.acquire();
                      permits.acquire();
                      value.update([](Pair& pair) {
                          ++pair.left;
                          ++pair.right;
                      });
                      permits.release();
                      again.unlock();
                      permits.release();
                  },
                  [&](bool) {
                      all_free();
                      const Pair pair = value.get();
                      ASSERT_EQ(pair.left, pair.right);
                  }),
              50);
    leaks.expect_none();
}

TEST_F(ManagedKills, AClientThatWaitsHoldsUpNobodyAndIsGivenNothing) {
    Manager manager;
    auto condition = manager.Condition();
    auto event = manager.Event();
    auto barrier = manager.Barrier(2);
    auto queue = manager.Queue<int>();
    // The party at the barrier has a line of its own; both stay for the next calls.
    const auto pass = [&] {
        std::jthread other([&] { EXPECT_NO_THROW(barrier.wait()); });
        EXPECT_NO_THROW(barrier.wait());
    };
    {
        std::jthread other([&] { EXPECT_NO_THROW(barrier.wait()); });
        ASSERT_TRUE(eventually([&] { return barrier.waiting() == 1; }));
        ASSERT_FALSE(event.wait_for(1ms));  // now the threads of both have all that they need for waiting
        barrier.wait();
    }
    const ServerLeaks leaks(manager);
    EXPECT_GE(kill_each_step(
                  [&] {
                      {
                          const std::scoped_lock guard(condition);
                          (void)condition.wait_for(5ms);
                          condition.notify_all();
                      }
                      (void)event.wait_for(5ms);
                      (void)queue.get_for(5ms);
                      try {
                          barrier.wait_for(5ms);
                      } catch (const mp::BrokenBarrier&) {
                      }
                  },
                  [&](bool finished) {
                      ASSERT_TRUE(condition.try_lock_for(60s));
                      condition.notify_all();
                      condition.unlock();
                      queue.put(1);
                      ASSERT_EQ(queue.get_for(60s), 1);
                      ASSERT_TRUE(!finished || barrier.broken());
                      ASSERT_TRUE(eventually([&] { return barrier.waiting() == 0; }));
                      barrier.reset();
                      pass();
                  }),
              50);
    leaks.expect_none();
}

TEST_F(ManagedKills, AClientsReferencesGoWithIt) {
    Manager manager;
    auto alive = manager.Value<int>(0);
    auto shelf = manager.dict<int, mp::Proxy<Tally>>();
    const std::string address = manager.address(), key = manager.authkey();
    const ServerLeaks leaks(manager);
    EXPECT_GE(kill_each_step(
                  [&] {
                      const auto there = Manager::connect(address, key);
                      auto one = there.create<Tally>(alive);
                      shelf.set(1, one);
                      {
                          const auto other = there.create<Tally>(alive);
                      }
                      const auto mine = shelf.at(1);
                      mine.call<&Tally::touch>();
                      shelf.clear();
                      shelf.set(2, mine);
                  },
                  [&](bool finished) {
                      ASSERT_TRUE(!finished || shelf.size() == 1);
                      for (const auto& [place, tally] : shelf) ASSERT_EQ(tally.template call<&Tally::touch>(), 1);
                      shelf.clear();
                      ASSERT_TRUE(eventually([&] { return alive.get() == 0; })) << alive.get();
                  }),
              50);
    leaks.expect_none();
}

/// In the server: its client is killed meanwhile.
void until_gone(managed::Event begun, pid_t client) {
    begun.set();
    EXPECT_TRUE(eventually([&] { return !mp::test::is_running(client); }));
}

TEST_F(ManagedKills, ACallThatRunsWhenItsClientDiesRunsToItsEnd) {
    Manager manager;
    auto from = manager.Value<int>(1);
    auto to = manager.Value<int>(0);
    auto begun = manager.Event();
    mp::test::Child client([&] {
        from.apply(
            [](auto& source, managed::Value<int> target, managed::Event told, pid_t caller) {
                source.set(source.get() - 1);
                until_gone(told, caller);
                target += 1;
            },
            to, begun, ::getpid());
        return 0;
    });
    ASSERT_TRUE(begun.wait_for(60s));
    client.kill();
    EXPECT_TRUE(eventually([&] { return to.get() == 1; }));
    EXPECT_EQ(from.get(), 0);
}

struct Shelf {
    std::optional<mp::Proxy<Tally>> tally;
    void put(mp::Proxy<Tally> one) { tally = std::move(one); }
    void clear(managed::Event told, pid_t caller) {
        until_gone(told, caller);
        tally.reset();
    }
    bool empty() const { return !tally; }
};

TEST_F(ManagedKills, ADestructorThatUsesAProxyMeetsNoDeadClient) {
    Manager manager;
    auto alive = manager.Value<int>(0);
    auto shelf = manager.create<Shelf>();
    shelf.call<&Shelf::put>(manager.create<Tally>(alive));
    EXPECT_EQ(alive.get(), 1);
    auto begun = manager.Event();
    mp::test::Child client([&] {
        shelf.call<&Shelf::clear>(begun, ::getpid());
        return 0;
    });
    ASSERT_TRUE(begun.wait_for(60s));
    client.kill();
    EXPECT_TRUE(eventually([&] { return shelf.call<&Shelf::empty>(); }));
    EXPECT_EQ(alive.get(), 0);
}

// The proxies of one manager, for a client that works until that is gone.
struct Objects {
    managed::Dict<std::string, int> dict;
    managed::Queue<int> queue;
    managed::Lock lock;
};

/// Uses a manager from its start to its end. Throws whatever one of its members throws.
void use(const Manager& manager) {
    Objects objects{manager.dict<std::string, int>(), manager.Queue<int>(), manager.Lock()};
    std::exception_ptr of_waiter;
    std::jthread waiter([&] {
        try {
            objects.queue.get();
        } catch (...) {
            of_waiter = std::current_exception();
        }
    });
    const auto work = [&] {
        const std::scoped_lock guard(objects.lock);
        objects.dict.update("key", [](int& n) { ++n; });
        EXPECT_EQ(objects.dict.at("key"), 1);
    };
    bool put = false;
    try {
        work();
        put = true;
        objects.queue.put(1);
    } catch (...) {
        waiter.join();
        // What was being put may have come, and the server died before it said so.
        EXPECT_TRUE(of_waiter || put);
        throw;
    }
    waiter.join();
    if (of_waiter) std::rethrow_exception(of_waiter);
}

TEST_F(ManagedKills, AServerKilledAtAnyStepIsATypedErrorForEveryCallAndTellsItsEnd) {
    bool finished = false;
    int step = 0;
    while (!finished && !HasFailure()) {
        SCOPED_TRACE("step " + std::to_string(++step));
        std::optional<Manager> manager;
        try {
            manager.emplace(mp::ManagerOptions{.initializer = mp::bind(mp::test::die_at_step, step)});
        } catch (const mp::Error& error) {
            EXPECT_THAT(error.what(), HasSubstr("SIGKILL"));
            continue;
        }
        try {
            use(*manager);
        } catch (const Closed& error) {
            EXPECT_THAT(error.what(), HasSubstr("killed by SIGKILL"));
            EXPECT_THROW((manager->dict<int, int>()), Closed);
        }
        manager->shutdown();
        finished = manager->exitcode() == 0;
    }
    EXPECT_GE(step, 50);
}

}  // namespace
