// Allocations for each task once a pool has settled.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "counts/counters.hpp"
#include "pool/pool_fixture.hpp"

namespace mp::test {
namespace {

std::uint64_t allocations_of_worker(int) { return allocations(); }
int identity(int value) { return value; }

class Allocations : public PoolTest {
  protected:
    void SetUp() override {
        PoolTest::SetUp();
        MP_SKIP_UNDER_SANITIZERS("a sanitizer has its own malloc");
    }
};

TEST_F(Allocations, AreCounted) {
    const auto before = allocations();
    std::vector<int> list(100);
    EXPECT_EQ(allocations(), before + 1) << list.size();
}

// In the caller's thread; the pool's own thread does not hand out tasks while somebody waits.
double by_caller(mp::Pool& pool, int tasks) {
    std::vector<mp::Future<int>> futures;
    futures.reserve(static_cast<std::size_t>(tasks));
    const auto before = allocations();
    for (int i = 0; i < tasks; ++i) futures.push_back(pool.submit(identity, i));
    for (auto& future : futures) future.get();
    return static_cast<double>(allocations() - before) / tasks;
}

// The memory of the tasks before is used again.
TEST_F(Allocations, ATaskCostsTheCallerNone) {
    mp::Pool pool(2);
    by_caller(pool, 10'000);
    EXPECT_LE(by_caller(pool, 10'000), 0.01);
}

TEST_F(Allocations, ATaskCostsTheWorkerNone) {
    mp::Pool pool(1);
    by_caller(pool, 1000);
    const std::uint64_t before = pool.apply(allocations_of_worker, 0);
    by_caller(pool, 10'000);
    const std::uint64_t after = pool.apply(allocations_of_worker, 0);
    EXPECT_LE(after - before, 10U) << "for 10000 tasks";
}

// But for what each stream has for those under way.
TEST_F(Allocations, AnElementOfAStreamCostsTheCallerNone) {
    constexpr int elements = 100'000;
    mp::Pool pool(2);
    const auto take = [&](auto&& results) {
        const auto before = allocations();
        for (const int result : results) static_cast<void>(result);
        return static_cast<double>(allocations() - before) / elements;
    };
    take(pool.imap_unordered(identity, mp::range(0, elements)));
    EXPECT_LE(take(pool.imap_unordered(identity, mp::range(0, elements))), 0.01);
    // A list in pieces of 32.
    EXPECT_LE(take(pool.imap(identity, mp::range(0, elements))), 0.05);
}

TEST_F(Allocations, AnElementOfAMapCostsNobodyAny) {
    mp::Pool pool(1);
    pool.map(identity, mp::range(0, 1000));
    const std::uint64_t worker = pool.apply(allocations_of_worker, 0), caller = allocations();
    pool.map(identity, mp::range(0, 100'000));
    const std::uint64_t by_caller = allocations() - caller;
    EXPECT_LE(by_caller, 100U) << "for 100000 elements";
    EXPECT_LE(pool.apply(allocations_of_worker, 0) - worker, 20U) << "for 100000 elements";
}

}  // namespace
}  // namespace mp::test
