// snapshot_map: closures that see the caller's memory.
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;

using SnapshotMap = PoolTest;

TEST_F(SnapshotMap, SeesWhatTheClosureRefersTo) {
    std::map<int, std::string> table{{1, "one"}, {2, "two"}, {3, "three"}};
    int offset = 1;
    const auto results = mp::snapshot_map([&](int key) { return table.at(key + offset); }, std::vector{0, 1, 2});
    EXPECT_EQ(results, (std::vector<std::string>{"one", "two", "three"}));
}

TEST_F(SnapshotMap, TakesElementsAndFunctionsThatCannotBeSent) {
    const std::list<const char*> words{"a", "bb", "ccc"};
    const std::function<std::size_t(const char*)> length = [](const char* s) { return std::string(s).size(); };
    EXPECT_EQ(mp::snapshot_map(length, words), (std::vector<std::size_t>{1, 2, 3}));
    EXPECT_TRUE(mp::snapshot_map(length, std::list<const char*>()).empty());
}

TEST_F(SnapshotMap, LeavesTheCallersMemoryAlone) {
    int counter = 0;
    mp::snapshot_map([&](int x) { return counter += x; }, mp::range(0, 100));
    EXPECT_EQ(counter, 0);
}

TEST_F(SnapshotMap, ThrowsTheFirstError) {
    const std::string text = "bad";
    const auto fails = [&](int x) {
        if (x == 5) throw std::domain_error(text);
        return x;
    };
    EXPECT_EQ(error_of<std::domain_error>([&] { mp::snapshot_map(fails, mp::range(0, 10)); }), "bad");
}

TEST_F(SnapshotMap, RefusesACallerWithOtherThreadsAndNamesThem) {
    std::mutex mutex;
    std::condition_variable news;
    bool named = false, over = false;
    std::jthread other([&] {
        ::pthread_setname_np(::pthread_self(), "bystander");
        std::unique_lock lock(mutex);
        named = true;
        news.notify_all();
        news.wait(lock, [&] { return over; });
    });
    {
        std::unique_lock lock(mutex);
        news.wait(lock, [&] { return named; });
    }
    int captured = 1;
    EXPECT_THAT(
        error_of<mp::UnsafeFork>([&] { mp::snapshot_map([&](int x) { return x + captured; }, mp::range(0, 3)); }),
        ::testing::HasSubstr("bystander"));
    {
        const std::scoped_lock lock(mutex);
        over = true;
    }
    news.notify_all();
}

// The library's own threads hold no lock that a fork could need.
TEST_F(SnapshotMap, WorksBesideAPool) {
    mp::Pool pool(1);
    pool.apply([] {});
    int captured = 1;
    EXPECT_EQ(mp::snapshot_map([&](int x) { return x + captured; }, mp::range(0, 3)), (std::vector{1, 2, 3}));
}

}  // namespace
