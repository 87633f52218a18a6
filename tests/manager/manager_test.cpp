// Managers: containers and own classes through proxies, references, life and death of server and clients.
#include "manager/manager_fixture.hpp"

#include <signal.h>

#include <filesystem>
#include <latch>
#include <stdexcept>
#include <thread>

namespace {

using namespace std::chrono_literals;
using mp::Closed;
using mp::Manager;
using mp::Process;
using mp::test::Tally;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
namespace managed = mp::managed;

using Managing = mp::test::LeakCheck;

// cpython: _TestContainers.test_dict, TestSyncManagerTypes.test_dict
TEST_F(Managing, ADictHasTheWholeInterface) {
    Manager manager;
    auto d = manager.dict<std::string, int>({{"a", 1}});
    d["b"] = 2;
    d.set("c", 3);
    EXPECT_EQ(d.get("a"), 1);
    EXPECT_EQ(d.get("x"), std::nullopt);
    EXPECT_EQ(d.get("x", 7), 7);
    EXPECT_EQ(int(d["b"]), 2);
    EXPECT_EQ(d["b"] += 5, 7);
    EXPECT_THROW(d.at("x"), std::out_of_range);
    EXPECT_EQ(d.setdefault("a", 9), 1);
    EXPECT_EQ(d.setdefault("d", 9), 9);
    EXPECT_TRUE(d.contains("d"));
    EXPECT_EQ(d.pop("d"), 9);
    EXPECT_FALSE(d.erase("d"));
    EXPECT_EQ(d.size(), 3U);
    EXPECT_THAT(d.keys(), ElementsAre("a", "b", "c"));
    EXPECT_THAT(d.values(), ElementsAre(1, 7, 3));
    EXPECT_THAT(d.items(), ElementsAre(Pair("a", 1), Pair("b", 7), Pair("c", 3)));
    d.update({{"c", 4}, {"e", 5}});
    EXPECT_THAT(d.copy(), ElementsAre(Pair("a", 1), Pair("b", 7), Pair("c", 4), Pair("e", 5)));
    EXPECT_EQ(d.popitem(), std::pair(std::string("e"), 5));
    d.clear();
    EXPECT_TRUE(d.empty());
    EXPECT_EQ(d.popitem(), std::nullopt);
}

// cpython: _TestContainers.test_dict_iter
TEST_F(Managing, ADictIsIteratedAndAChangeOfItsKeysMeanwhileIsAnError) {
    Manager manager;
    auto d = manager.dict<int, int>({{1, 10}, {2, 20}, {3, 30}});
    int sum = 0;
    for (const auto& [key, value] : d) {
        sum += value;
        d.set(key, 0);  // no key comes or goes
    }
    EXPECT_EQ(sum, 60);
    EXPECT_THROW(
        {
            for (const auto& item : d) d.set(item.first + 100, 0);
        },
        mp::Error);
}

// cpython: _TestContainers.test_list, TestSyncManagerTypes.test_list, TestSyncManagerTypes.test_array
TEST_F(Managing, AListHasTheWholeInterface) {
    Manager manager;
    auto a = manager.list<int>({0, 1, 2, 3, 4});
    EXPECT_EQ(a[-1], 4);
    EXPECT_THAT(a.slice(2, 10), ElementsAre(2, 3, 4));
    EXPECT_THAT(a.slice(-3, -1), ElementsAre(2, 3));
    EXPECT_TRUE(a.slice(4, 1).empty());
    a.extend({5, 6});
    a += {7};
    a.append(8);
    a.insert(0, -1);
    EXPECT_EQ(a.pop(), 8);
    EXPECT_EQ(a.pop(0), -1);
    EXPECT_THROW(a.at(100), std::out_of_range);
    EXPECT_THROW(a.set(-100, 0), std::out_of_range);
    a.set(0, 9);
    a.sort();
    a.reverse();
    EXPECT_THAT(a.copy(), ElementsAre(9, 7, 6, 5, 4, 3, 2, 1));
    a.remove(9);
    EXPECT_THROW(a.remove(9), std::invalid_argument);
    EXPECT_EQ(a.index(7), 0U);
    EXPECT_EQ(a.index(99), std::nullopt);
    EXPECT_TRUE(a.contains(3));
    a.set_slice(0, 5, {1});
    EXPECT_THAT(a.copy(), ElementsAre(1, 2, 1));
    EXPECT_EQ(a.count(1), 2U);
    EXPECT_THAT(a + std::vector{8}, ElementsAre(1, 2, 1, 8));
    a *= 2;
    EXPECT_EQ(a.size(), 6U);
    EXPECT_EQ(a.update(0, [](int n) { return n + 41; }), 42);
    a.clear();
    EXPECT_TRUE(a.empty());
    EXPECT_THAT(manager.Array<double>(3).copy(), ElementsAre(0, 0, 0));
}

// cpython: _TestContainers.test_list_iter
TEST_F(Managing, AListIsIteratedByPlaceAndSeesWhatChanges) {
    Manager manager;
    auto a = manager.list<int>({1, 2, 3});
    std::vector<int> seen;
    for (const int value : a) {
        seen.push_back(value);
        if (seen.size() == 1) a.append(4);
    }
    EXPECT_THAT(seen, ElementsAre(1, 2, 3, 4));
}

// cpython: TestSyncManagerTypes.test_set
TEST_F(Managing, ASetHasTheWholeInterface) {
    Manager manager;
    auto s = manager.set<int>({1, 2, 3});
    EXPECT_TRUE(s.add(4));
    EXPECT_FALSE(s.add(4));
    EXPECT_TRUE(s.discard(4));
    EXPECT_FALSE(s.discard(4));
    EXPECT_THROW(s.remove(4), std::out_of_range);
    EXPECT_TRUE(s.contains(1));
    EXPECT_THAT(s.union_with({9}), ElementsAre(1, 2, 3, 9));
    EXPECT_THAT(s.intersection({2, 3, 4}), ElementsAre(2, 3));
    EXPECT_THAT(s.difference({1}), ElementsAre(2, 3));
    EXPECT_THAT(s.symmetric_difference({3, 4}), ElementsAre(1, 2, 4));
    EXPECT_TRUE(s.issubset({1, 2, 3, 4}));
    EXPECT_TRUE(s.issuperset({1, 2}));
    EXPECT_TRUE(s.isdisjoint({7}));
    s.update({7, 8});
    s.difference_update({1});
    s.intersection_update({2, 7, 8});
    s.symmetric_difference_update({8, 9});
    EXPECT_THAT(s.copy(), ElementsAre(2, 7, 9));
    EXPECT_EQ(s.pop(), 2);
    EXPECT_EQ(s.size(), 2U);
    s.clear();
    EXPECT_EQ(s.pop(), std::nullopt);
}

// cpython: _TestContainers.test_namespace, TestSyncManagerTypes.test_namespace, TestSyncManagerTypes.test_value
TEST_F(Managing, ANamespaceHoldsAttributesOfAnyTypeAndAValueOne) {
    Manager manager;
    auto n = manager.Namespace();
    n.set("name", "Bob");
    n.set("job", 7);
    EXPECT_EQ(n.get<std::string>("name"), "Bob");
    EXPECT_EQ(n.get<int>("job"), 7);
    EXPECT_THROW(n.get<double>("job"), std::invalid_argument);
    EXPECT_THROW(n.set("_hidden", 1), std::invalid_argument);
    EXPECT_THAT(n.names(), ElementsAre("job", "name"));
    n.remove("job");
    EXPECT_FALSE(n.contains("job"));
    EXPECT_THROW(n.get<int>("job"), std::out_of_range);
    auto value = manager.Value<int>(40);
    EXPECT_EQ(value += 2, 42);
    EXPECT_EQ(value.update([](int& v) { v *= 2; }), 84);
    value.set(1);
    EXPECT_EQ(value.get(), 1);
}

TEST_F(Managing, AnUpdateThatThrowsChangesNothingAndArrivesAsItsOwnType) {
    Manager manager;
    auto d = manager.dict<int, std::string>({{1, "old"}});
    try {
        d.update(1, [](std::string& text) {
            text = "half";
            throw std::domain_error("not like this");
        });
        FAIL();
    } catch (const std::domain_error& error) {
        EXPECT_STREQ(error.what(), "not like this");
        EXPECT_NE(dynamic_cast<const mp::RemoteError*>(&error), nullptr);
    }
    EXPECT_EQ(d.at(1), "old");
}

// cpython: _TestContainers.test_list_proxy_in_list, _TestContainers.test_dict_proxy_nested
TEST_F(Managing, NestedContainersAreLive) {
    Manager manager;
    auto outer = manager.dict<std::string, managed::List<int>>();
    {
        auto inner = manager.list<int>({1});
        outer["list"] = inner;
        inner.append(2);
    }
    // Only the dict holds the list now.
    outer.at("list").append(3);
    EXPECT_THAT(outer.at("list").copy(), ElementsAre(1, 2, 3));
    EXPECT_EQ(outer.at("list"), outer.at("list"));
    auto kept = outer.at("list");
    outer.clear();
    kept.append(4);
    EXPECT_EQ(kept.size(), 4U);
}

struct Node {
    std::vector<managed::List<Node>> next;
    bool operator==(const Node&) const = default;
    bool operator<(const Node& other) const { return next.size() < other.next.size(); }
};

TEST_F(Managing, AListThatHoldsItselfCrashesNothing) {
    Manager manager;
    auto list = manager.list<Node>();
    list.append(Node{{list}});
    EXPECT_EQ(list.at(0).next.at(0), list);
    EXPECT_EQ(list.at(0).next.at(0).at(0).next.at(0).size(), 1U);
}

// cpython: _TestContainers.test_nested_queue
TEST_F(Managing, QueuesCanBeElements) {
    Manager manager;
    auto queues = manager.list<managed::Queue<int>>({manager.Queue<int>(), manager.Queue<int>()});
    queues[0].put(1);
    queues[1].put(2);
    EXPECT_EQ(queues[0].get(), 1);
    EXPECT_EQ(queues[1].get(), 2);
    auto by_name = manager.dict<std::string, managed::Queue<int>>({{"first", queues[0]}});
    by_name.at("first").put(3);
    EXPECT_EQ(queues[0].get(), 3);
}

struct Picky {
    explicit Picky(const std::vector<int>& values) {
        if (values.empty()) throw std::invalid_argument("nothing to begin with");
    }
};

// cpython: TestSyncManagerTypes.test_set_init
TEST_F(Managing, ASetBeginsWithAnyRangeAndAConstructorThatThrowsIsARemoteError) {
    Manager manager;
    const std::vector<int> values{3, 1, 3};
    EXPECT_THAT(manager.set<int>({values.begin(), values.end()}).copy(), ElementsAre(1, 3));
    EXPECT_TRUE(manager.set<int>().empty());
    try {
        manager.create<Picky>(std::vector<int>());
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "nothing to begin with");
        EXPECT_NE(dynamic_cast<const mp::RemoteError*>(&error), nullptr);
    }
    EXPECT_NO_THROW(manager.create<Picky>(values));
}

class Counter {
  public:
    explicit Counter(int start = 0) : count_(start) {}
    int add(int n) { return count_ += n; }
    int count() const noexcept { return count_; }
    void fail() { throw std::range_error("counted too far"); }
    std::vector<int> up_to(int end) const {
        std::vector<int> numbers;
        for (int i = count_; i < end; ++i) numbers.push_back(i);
        return numbers;
    }

  private:
    int count_;
};

// cpython: _TestMyManager.test_mymanager, _TestMyManager.test_mymanager_context
TEST_F(Managing, OwnClassesNeedNothingDeclared) {
    Manager manager;
    auto counter = manager.create<Counter>(5);
    EXPECT_EQ(counter.call<&Counter::add>(3), 8);
    EXPECT_EQ(counter.call<&Counter::count>(), 8);
    EXPECT_THAT(counter.call<&Counter::up_to>(11), ElementsAre(8, 9, 10));
    EXPECT_THROW(counter.call<&Counter::fail>(), std::range_error);
    EXPECT_EQ(counter.apply([](Counter& c, int twice) { return c.add(twice) + c.add(twice); }, 1), 19);
    manager.shutdown();
    EXPECT_EQ(manager.exitcode(), 0);
    EXPECT_THROW(counter.call<&Counter::count>(), Closed);
    EXPECT_THROW(manager.create<Counter>(), Closed);
}

TEST_F(Managing, AnObjectLivesAsLongAsItsProxies) {
    Manager manager;
    auto alive = manager.Value<int>(0);
    {
        auto one = manager.create<Tally>(alive);
        auto copy = one;
        EXPECT_EQ(alive.get(), 1);
        mp::test::Child child([&] {
            const bool works = copy.call<&Tally::touch>() == 1;  // a fork has a reference of its own
            ::kill(::getpid(), works ? SIGKILL : SIGTERM);
            return 0;
        });
        EXPECT_EQ(child.wait(), -SIGKILL);
        EXPECT_EQ(alive.get(), 1);
    }
    EXPECT_TRUE(mp::test::eventually([&] { return alive.get() == 0; }));
}

TEST_F(Managing, AForkOfTheOwnerUsesTheManagerAndCannotEndIt) {
    std::optional<Manager> manager(std::in_place);
    auto list = manager->list<int>();
    list.append(1);  // this process has a connection for calls now, which is not the fork's
    mp::test::Child child([&] {
        const auto own = manager->list<int>({2});
        list.extend(own.copy());
        manager.reset();
        return 0;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_THAT(list.copy(), ElementsAre(1, 2));
    EXPECT_EQ(manager->list<int>({3}).size(), 1U);
}

TEST_F(Managing, ReferencesOfAKilledClientAreDropped) {
    Manager manager;
    auto alive = manager.Value<int>(0);
    const std::string address = manager.address(), key = manager.authkey();
    mp::test::Event ready;
    mp::test::Child child([&] {
        auto there = Manager::connect(address, key);
        auto mine = there.create<Tally>(alive);
        ready.set();
        for (;;) ::pause();
        return 0;
    });
    ASSERT_TRUE(ready.wait());
    EXPECT_EQ(alive.get(), 1);
    child.kill();
    child.wait();
    EXPECT_TRUE(mp::test::eventually([&] { return alive.get() == 0; }));
}

int add_and_return(managed::List<int> to, int x) {
    to.append(x);
    return x;
}

TEST_F(Managing, ProxiesWorkInPoolTasksAndAsTheirResults) {
    Manager manager;
    auto list = manager.list<int>();
    mp::Pool pool(2);
    pool.map(mp::bind(add_and_return, list), std::vector{1, 2, 3, 4});
    EXPECT_EQ(list.size(), 4U);
    auto returned = pool.apply([](managed::List<int> l) { return l; }, list);
    EXPECT_EQ(returned, list);
}

void share_a_queue(std::string address, std::string key, mp::Queue<std::string> told) {
    auto manager = Manager::connect(address, key);
    auto queue = manager.Queue<std::string>();
    auto bag = manager.Namespace();
    queue.put("from afar");
    auto list = manager.list<managed::Queue<std::string>>({queue});
    told.put(list[0].get());
    queue.put("still here");
}

// cpython: _TestRemoteManager.test_remote, _TestMyManager.test_mymanager_context_prestarted
TEST_F(Managing, AnotherProcessConnectsOverTcpWithTheKey) {
    Manager manager({.address = "localhost:0", .authkey = "remote"});
    EXPECT_THAT(manager.address(), testing::StartsWith("127.0.0.1:"));
    mp::Queue<std::string> told;
    Process other(share_a_queue, manager.address(), std::string("remote"), told);
    other.start();
    EXPECT_EQ(told.get_for(60s), "from afar");
    other.join();
    EXPECT_EQ(other.exitcode(), 0);
    EXPECT_THROW(Manager::connect(manager.address(), "wrong"), mp::AuthenticationError);
    EXPECT_THROW(Manager::connect("@nobody-listens-here", "key"), mp::SystemError);
    // Handles mean nothing elsewhere.
    auto queue = manager.Queue<mp::serial::Handle>();
    EXPECT_THROW(queue.put(mp::serial::Handle::duplicate(0)), mp::SerializationError);
}

// cpython: _TestManagerRestart.test_rapid_restart
TEST_F(Managing, TheSameAddressIsUsableRightAfterShutdown) {
    std::string address = "localhost:0";
    for (int i = 0; i < 3; ++i) {
        Manager manager({.address = address, .authkey = "k"});
        address = manager.address();
        auto queue = manager.Queue<int>();
        queue.put(i);
        EXPECT_EQ(queue.get(), i);
    }
    Manager manager({.address = address, .authkey = "k"});
    try {
        Manager second({.address = address});
        FAIL();
    } catch (const mp::SystemError& error) {
        EXPECT_EQ(error.code().value(), EADDRINUSE);
    }
}

TEST_F(Managing, AKilledServerIsATypedErrorThatNamesItsEnd) {
    Manager manager;
    auto queue = manager.Queue<int>();
    auto list = manager.list<int>();
    std::string text;
    std::jthread waiting([&] {
        try {
            queue.get();
        } catch (const Closed& error) {
            text = error.what();
        }
    });
    EXPECT_EQ(list.size(), 0U);
    ::kill(*manager.pid(), SIGKILL);
    waiting.join();
    EXPECT_THAT(text, HasSubstr("killed by SIGKILL"));
    EXPECT_THROW(list.append(1), Closed);
    EXPECT_THROW((manager.dict<int, int>()), Closed);
}

TEST_F(Managing, TheEndOfAServerIsSeenThoughAForkOfItLives) {
    Manager manager;
    auto queue = manager.Queue<int>();
    const pid_t fork = manager.Value<int>().update([](int) {
        const pid_t child = ::fork();
        if (child != 0) return child;
        for (;;) ::pause();
    });
    std::latch begun(1);  // not the manager's: its answer could be lost
    std::jthread waiting([&] {
        begun.count_down();
        EXPECT_THROW(queue.get(), Closed);
    });
    begun.wait();
    ::kill(*manager.pid(), SIGKILL);
    waiting.join();
    EXPECT_THROW((manager.dict<int, int>()), Closed);
    EXPECT_THROW(queue.put(1), Closed);
    ::kill(fork, SIGKILL);
}

// cpython: _TestSharedMemory.test_shared_memory_SharedMemoryServer_ignores_sigint
TEST_F(Managing, TheServerIgnoresCtrlCAndItsOwnerKeepsItsHandling) {
    Manager manager;
    auto list = manager.list<int>();
    ::kill(*manager.pid(), SIGINT);
    list.append(1);
    EXPECT_EQ(list.size(), 1U);
    struct sigaction own{};
    ::sigaction(SIGINT, nullptr, &own);
    EXPECT_EQ(own.sa_handler, SIG_DFL);
}

TEST_F(Managing, TheServerEndsWithItsOwner) {
    auto [told, tell] = mp::Pipe<void, int>();
    mp::test::Child owner([&, &tell = tell] {
        Manager manager;
        tell.send(*manager.pid());
        for (;;) ::pause();
        return 0;
    });
    const int server = told.recv();
    owner.kill();
    owner.wait();
    EXPECT_TRUE(mp::test::eventually([&] { return !mp::test::is_running(server); }));
}

int prepared = 0;

// cpython: TestInitializers.test_manager_initializer
TEST_F(Managing, TheInitializerRunsInTheServer) {
    Manager manager({.initializer = mp::bind([](int n) { prepared = n; }, 17)});
    EXPECT_EQ(manager.Value<int>().update([](int) { return prepared; }), 17);
    EXPECT_EQ(prepared, 0);
    EXPECT_THROW(Manager({.initializer = [] { throw std::logic_error("cannot"); }}), std::logic_error);
}

struct Slow {
    int wait(managed::Event until) {
        until.wait();
        return 1;
    }
};

TEST_F(Managing, ASlowCallHoldsUpNobodyElse) {
    Manager manager;
    auto slow = manager.create<Slow>();
    auto event = manager.Event();
    auto list = manager.list<int>();
    int result = 0;
    std::jthread caller([&] { result = slow.call<&Slow::wait>(event); });
    for (int i = 0; i < 10; ++i) list.append(i);
    EXPECT_EQ(list.size(), 10U);
    event.set();
    caller.join();
    EXPECT_EQ(result, 1);
}

TEST_F(Managing, AServerWhoseCodeNeverReturnsStillEnds) {
    Manager manager;
    auto value = manager.Value<int>();
    std::jthread stuck([value] {
        EXPECT_THROW(value.update([](int n) {
            for (;;) ::pause();
            return n;
        }),
                     Closed);
    });
    auto list = manager.list<int>();
    list.append(1);
    manager.shutdown();
    EXPECT_EQ(manager.exitcode(), 0);
}

int triple(int x) { return 3 * x; }

// cpython: TestSyncManagerTypes.test_pool
TEST_F(Managing, APoolLivesInTheServer) {
    Manager manager;
    auto pool = manager.Pool(2);
    EXPECT_EQ(pool.apply(triple, 4), 12);
    EXPECT_THAT(pool.map(triple, std::vector{1, 2, 3}), ElementsAre(3, 6, 9));
}

}  // namespace
