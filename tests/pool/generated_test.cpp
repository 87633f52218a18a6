// Functions that come into being while the program runs, as in a REPL: here machine code written into memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "pool_fixture.hpp"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// int f(int x) { return x + n; } with another n in each test, since another may lie in the same place.
class AddingCode {
  public:
    explicit AddingCode(std::uint8_t n)
        : memory_(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
#if defined(__x86_64__)
        const std::array<std::uint8_t, 4> code{0x8d, 0x47, n, 0xc3};  // lea eax, [rdi + n]; ret
#elif defined(__aarch64__)
        const std::array<std::uint32_t, 2> code{0x11000000u | (std::uint32_t(n) << 10),
                                                0xd65f03c0u};  // add w0, w0, n; ret
#else
#error "write this function for the machine at hand"
#endif
        std::memcpy(memory_, code.data(), sizeof code);
        ::mprotect(memory_, 4096, PROT_READ | PROT_EXEC);
        __builtin___clear_cache(static_cast<char*>(memory_), static_cast<char*>(memory_) + sizeof code);
    }
    AddingCode(const AddingCode&) = delete;
    ~AddingCode() { ::munmap(memory_, 4096); }

    int (*get() const)(int) { return reinterpret_cast<int (*)(int)>(memory_); }

  private:
    void* memory_;
};

using GeneratedFunctions = mp::test::PoolTest;

TEST_F(GeneratedFunctions, RunInAPoolOfForksThatIsOlderThanThey) {
    mp::Pool pool({.workers = 2, .start_method = mp::StartMethod::fork});
    const AddingCode one(11);
    EXPECT_THAT(pool.map(one.get(), std::vector{1, 2, 3}), ElementsAre(12, 13, 14));
    const AddingCode two(12);
    EXPECT_EQ(pool.submit(two.get(), 40).get(), 52);
    EXPECT_EQ(pool.apply(one.get(), 40), 51);
}

TEST_F(GeneratedFunctions, CostNoTaskThatIsUnderWay) {
    mp::Pool pool({.workers = 2, .start_method = mp::StartMethod::fork});
    mp::Queue<int> go;
    std::vector<mp::Future<int>> waiting;
    for (int i = 0; i < 6; ++i) waiting.push_back(pool.submit([](mp::Queue<int> queue) { return queue.get(); }, go));
    const AddingCode one(21);
    auto late = pool.submit(one.get(), 1);
    for (int i = 0; i < 6; ++i) go.put(i);
    int sum = 0;
    for (auto& future : waiting) sum += future.get();
    EXPECT_EQ(sum, 15);
    EXPECT_EQ(late.get(), 22);
}

TEST_F(GeneratedFunctions, KeepTheirWorkersFromCallToCall) {
    mp::Pool pool({.workers = 1, .start_method = mp::StartMethod::fork});
    const AddingCode one(31);
    EXPECT_EQ(pool.apply(one.get(), 1), 32);
    const auto pids = pool.pids();
    EXPECT_THAT(pool.map(one.get(), std::vector{1, 2}), ElementsAre(32, 33));
    EXPECT_EQ(pool.apply(one.get(), 2), 33);
    EXPECT_EQ(pool.pids(), pids);
}

TEST_F(GeneratedFunctions, AreRefusedByWorkersThatAreNoForks) {
    for (const auto method : {mp::StartMethod::forkserver, mp::StartMethod::spawn}) {
        mp::Pool pool({.workers = 1, .start_method = method});
        const AddingCode one(41);
        const auto outcomes = pool.map_outcomes(one.get(), std::vector{1});
        ASSERT_FALSE(outcomes[0]);
        EXPECT_THAT(outcomes[0].error().what(), HasSubstr("generated at run time"));
    }
}

TEST_F(GeneratedFunctions, AreRunByAProcess) {
    const AddingCode one(51);
    mp::Value<int> result(0);
    mp::Process process({.start_method = mp::StartMethod::fork}, [&] { result.store(one.get()(1)); });
    process.start();
    process.join();
    EXPECT_EQ(result.load(), 52);
}

}  // namespace
