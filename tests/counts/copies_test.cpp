// Bytes copied for each byte sent, in caller and worker together.
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "counts/counters.hpp"
#include "pool/pool_fixture.hpp"

namespace mp::test {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t mib = 1 << 20;

// A worker's counter; asked for by a task of its own, so that what happens after a task's end is counted too.
std::uint64_t copied_by_worker(int) { return bytes_copied(); }
std::uint64_t length(Bytes bytes) { return bytes.size(); }
Bytes many_bytes(std::uint64_t size) { return Bytes(size, 7); }
std::uint64_t sum(std::uint64_t value) { return value; }

class Copies : public PoolTest {
  protected:
    void SetUp() override {
        PoolTest::SetUp();
        MP_SKIP_UNDER_SANITIZERS("a sanitizer has its own memcpy");
    }

    /// Copies per byte of `payload`, in caller and worker.
    template <class Work>
    double copies(mp::Pool& pool, std::size_t payload, Work work) {
        work();  // what is done once: the callable, growing tables
        const std::uint64_t worker = pool.apply(copied_by_worker, 0), caller = bytes_copied();
        work();
        const std::uint64_t by_caller = bytes_copied() - caller;
        const std::uint64_t by_worker = pool.apply(copied_by_worker, 0) - worker;
        RecordProperty("copies_by_caller", std::to_string(static_cast<double>(by_caller) / static_cast<double>(payload)));
        RecordProperty("copies_by_worker", std::to_string(static_cast<double>(by_worker) / static_cast<double>(payload)));
        return static_cast<double>(by_caller + by_worker) / static_cast<double>(payload);
    }
};

// Packed into a buffer, put into shared memory, and made a vector in the worker.
TEST_F(Copies, AnArgumentOfSubmitIsCopiedThreeTimes) {
    mp::Pool pool(1);
    const Bytes bytes(mib);
    EXPECT_LT(copies(pool, mib, [&] { EXPECT_EQ(pool.apply(length, bytes), mib); }), 3.1);
}

// The same way back.
TEST_F(Copies, AResultOfSubmitIsCopiedThreeTimes) {
    mp::Pool pool(1);
    EXPECT_LT(copies(pool, mib, [&] { EXPECT_EQ(pool.apply(many_bytes, std::uint64_t{mib}).size(), mib); }), 3.1);
}

TEST_F(Copies, AnArrayOfInputsOfAMapIsCopiedOnce) {
    mp::Pool pool(1);
    std::vector<std::uint64_t> inputs(mib / sizeof(std::uint64_t));
    std::iota(inputs.begin(), inputs.end(), 0);
    // Inputs into shared memory; results out of it.
    EXPECT_LT(copies(pool, 2 * mib, [&] { EXPECT_EQ(pool.map(sum, inputs), inputs); }), 1.1);
}

TEST_F(Copies, BoundsTravelInsteadOfARange) {
    mp::Pool pool(1);
    // Only the results, out of shared memory.
    EXPECT_LT(copies(pool, mib, [&] {
        EXPECT_EQ(pool.map(sum, mp::range(std::uint64_t{0}, std::uint64_t{mib / sizeof(std::uint64_t)})).size(),
                  mib / sizeof(std::uint64_t));
    }), 1.1);
}

TEST_F(Copies, WhatLiesInAnArrayIsNotCopied) {
    mp::Pool pool(1);
    mp::Array<double> samples(mib / sizeof(double));
    EXPECT_LT(copies(pool, mib, [&] {
        pool.apply([](mp::Array<double> array) { array.span()[0] = 1; }, samples);
    }), 0.01);
}

}  // namespace
}  // namespace mp::test
