// What workers have mapped of the memory that for_each works in: they keep it as long as the caller does, and no
// longer.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "pool/pool_fixture.hpp"

namespace mp::test {
namespace {

// Lines of /proc/PID/maps: address, permissions, offset, device, inode.
struct Line {
    std::string addresses, inode;
};
std::vector<Line> maps(const std::string& pid) {
    std::ifstream in("/proc/" + pid + "/maps");
    std::vector<Line> lines;
    for (std::string text; std::getline(in, text);) {
        std::istringstream words(text);
        Line line;
        std::string other;
        words >> line.addresses >> other >> other >> other >> line.inode;
        lines.push_back(line);
    }
    return lines;
}

// The file behind memory of this process.
std::string inode_of(const void* address) {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (const Line& line : maps("self")) {
        char* rest = nullptr;
        const auto begin = std::strtoull(line.addresses.c_str(), &rest, 16);
        if (at >= begin && at < std::strtoull(rest + 1, nullptr, 16)) return line.inode;
    }
    ADD_FAILURE() << "not mapped";
    return {};
}

// Where a process has that file mapped.
std::set<std::string> places(pid_t pid, const std::string& inode) {
    std::set<std::string> found;
    for (const Line& line : maps(std::to_string(pid)))
        if (line.inode == inode) found.insert(line.addresses);
    return found;
}

// Descriptors of this process for that file.
int descriptors(const std::string& inode) {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        struct stat status{};
        if (::stat(entry.path().c_str(), &status) == 0 && std::to_string(status.st_ino) == inode) ++count;
    }
    return count;
}

// 0: it is being replaced.
pid_t worker_of(Pool& pool) {
    const auto pids = pool.pids();
    return pids.empty() ? 0 : pids.front();
}

void one_more(double& value) { value += 1; }
void twice(double& value) { value *= 2; }

class PoolPlaces : public PoolByEveryMethod {};
MP_EVERY_METHOD(PoolPlaces);

TEST_P(PoolPlaces, AreMappedOnceForAllCallsAndLetGoOfWithTheArray) {
    Pool pool(options(1));
    std::string inode;
    {
        Array<double> numbers(100'000);
        inode = inode_of(numbers.span().data());
        pool.for_each(one_more, numbers);
        const auto first = places(worker_of(pool), inode);
        EXPECT_EQ(first.size(), 1u);
        pool.for_each(twice, numbers);
        pool.for_each([](double& value) { value += 3; }, numbers.span().subspan(50'000));
        EXPECT_EQ(places(worker_of(pool), inode), first);
        EXPECT_EQ(numbers.span().front(), 2);
        EXPECT_EQ(numbers.span().back(), 5);
    }
    // The pool has nothing else to do meanwhile.
    EXPECT_TRUE(eventually([&] { return places(worker_of(pool), inode).empty() && descriptors(inode) == 0; }));
}

TEST_P(PoolPlaces, AreKeptApart) {
    Pool pool(options(1));
    auto early = std::make_unique<Array<double>>(1000);
    Array<double> late(1000);
    const std::string first = inode_of(early->span().data()), second = inode_of(late.span().data());
    for (int i = 0; i < 3; ++i) {
        pool.for_each(one_more, *early);
        pool.for_each(one_more, late);
    }
    early.reset();
    EXPECT_TRUE(eventually([&] { return places(worker_of(pool), first).empty() && descriptors(first) == 0; }));
    EXPECT_EQ(places(worker_of(pool), second).size(), 1u);
    pool.for_each(one_more, late);
    EXPECT_EQ(late.span().front(), 4);
}

TEST_P(PoolPlaces, AreMappedAnewByAWorkersReplacement) {
    Pool pool(options(1));
    Array<double> numbers(1000);
    const std::string inode = inode_of(numbers.span().data());
    pool.for_each(one_more, numbers);
    const pid_t killed = worker_of(pool);
    ::kill(killed, SIGKILL);
    ASSERT_TRUE(eventually([&] { return worker_of(pool) != killed && worker_of(pool) != 0; }));
    pool.for_each(one_more, numbers);
    EXPECT_EQ(numbers.span().front(), 2);
    EXPECT_EQ(places(worker_of(pool), inode).size(), 1u);
}

// Each takes a descriptor of the worker: those that were not used for longest give way.
TEST_P(PoolPlaces, AreSoMany) {
    Pool pool(options(1));
    std::vector<Array<double>> arrays;
    for (int round = 0; round < 2; ++round)
        for (std::size_t i = 0; i < 70; ++i) {
            if (round == 0) arrays.emplace_back(10);
            pool.for_each(one_more, arrays[i]);
        }
    const auto mapped = [&](std::size_t i) {
        return !places(worker_of(pool), inode_of(arrays[i].span().data())).empty();
    };
    EXPECT_TRUE(eventually([&] { return !mapped(0); }));
    EXPECT_TRUE(mapped(69));
    EXPECT_EQ(arrays[0].span().front(), 2);
    arrays.clear();
    pool.for_each(one_more, arrays.emplace_back(10));
    EXPECT_TRUE(mapped(0));
}

TEST_P(PoolPlaces, MayOutliveThePoolAndEndAfterItWasClosed) {
    Pool pool(options(1));
    Array<double> lasting(1000);
    std::string inode;
    {
        Array<double> numbers(1000);
        inode = inode_of(numbers.span().data());
        pool.for_each(one_more, numbers);
        Pool other(options(1));
        other.for_each(one_more, numbers);
        other.for_each(one_more, lasting);
        pool.close();
        pool.join();
        EXPECT_EQ(numbers.span().front(), 2);
    }
    EXPECT_EQ(descriptors(inode), 0);
    EXPECT_EQ(lasting.span().front(), 1);
}

TEST_P(PoolPlaces, EndWhileOthersAreWorkedIn) {
    Pool pool(options(1));
    // Let go of by several threads while calls are under way.
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 3; ++thread)
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                Array<double> numbers(100);
                pool.for_each(one_more, numbers);
                pool.for_each(one_more, numbers);
                EXPECT_EQ(numbers.span().back(), 2);
            }
        });
    threads.clear();
    EXPECT_EQ(pool.apply([](int x) { return x; }, 7), 7);
}

}  // namespace
}  // namespace mp::test
