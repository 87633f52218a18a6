// Work is held back while memory is short.
#include "pool/admission.hpp"

#include <unistd.h>

#include <atomic>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::pool::Admission;

constexpr std::uint64_t mib = 1 << 20;

TEST(Admission, ClosesWhenLittleIsLeftAndOpensWhenTwiceAsMuchIs) {
    Admission admission(16 * 1024 * mib);
    EXPECT_TRUE(admission.look({256 * mib}));
    EXPECT_FALSE(admission.look({255 * mib}));
    EXPECT_FALSE(admission.look({511 * mib}));
    EXPECT_TRUE(admission.look({512 * mib}));
}

TEST(Admission, ClosesSoonerUnderPressure) {
    Admission admission(16 * 1024 * mib);
    EXPECT_TRUE(admission.look({1024 * mib, 90.0})) << "there is enough";
    EXPECT_TRUE(admission.look({1023 * mib, 39.0}));
    EXPECT_FALSE(admission.look({1023 * mib, 40.0}));
    EXPECT_FALSE(admission.look({1023 * mib, 10.0}));
    EXPECT_TRUE(admission.look({1023 * mib, 9.0}));
}

TEST(Admission, IsOpenOnAMachineThatNeverHasMuch) {
    Admission admission(64 * mib);
    EXPECT_TRUE(admission.look({20 * mib}));
    EXPECT_FALSE(admission.look({7 * mib}));
}

std::atomic<bool> is_short{false};
std::atomic<int> looks{0};
mp::pool::MemoryReading told() {
    ++looks;
    return {is_short ? 1 * mib : 8 * 1024 * mib};
}

class PoolAdmission : public LeakCheck {
  protected:
    PoolAdmission() {
        is_short = false;
        mp::pool::replace_memory_reader(&told);
    }
    ~PoolAdmission() override { mp::pool::replace_memory_reader(nullptr); }
    static void wait_for_a_look() {
        const int before = looks;
        // The second one begins when the first has been heeded.
        EXPECT_TRUE(eventually([&] { return looks >= before + 2; }, patience));
    }
};

// The first wait for the gate; how many of the others are run at once is noted.
int note(mp::Event& gate, mp::Value<int>& running, mp::Value<int>& most, int x) {
    if (x < 3) {
        gate.wait();
        return x;
    }
    const int now = ++running;
    {
        const auto locked = most.lock();
        if (now > *locked) *locked = now;
    }
    ::usleep(2000);
    --running;
    return x;
}

// Comes back when two of it run at once.
void meet(mp::Barrier& both) { both.wait(); }

TEST_F(PoolAdmission, RunsOneTaskAtATimeUntilThereIsMemoryAgain) {
    Pool pool(3);
    mp::Event gate;
    mp::Value<int> running(0), most(0);
    const auto task = mp::bind(note, gate, running, most);
    std::vector<mp::Future<int>> futures;
    for (int x = 0; x < 40; ++x) futures.push_back(pool.submit(task, x));
    is_short = true;
    wait_for_a_look();
    EXPECT_TRUE(pool.stats().short_of_memory);
    EXPECT_EQ(pool.stats().memory_pauses, 1U);
    EXPECT_THAT(pool.stats().advice, ::testing::Contains(::testing::HasSubstr("memory was short 1 time, and is now")));
    gate.set();
    for (int x = 0; x < 40; ++x) EXPECT_EQ(futures[static_cast<std::size_t>(x)].get(), x);
    EXPECT_EQ(most.load(), 1);

    mp::Barrier both(2);
    auto first = pool.submit(mp::bind(meet, both));
    auto second = pool.submit(mp::bind(meet, both));
    is_short = false;
    first.get();
    second.get();
    EXPECT_FALSE(pool.stats().short_of_memory);
    EXPECT_EQ(pool.stats().memory_pauses, 1U);
}

TEST_F(PoolAdmission, KeepsOneWorkerOfAMapUntilThereIsMemoryAgain) {
    Pool pool(3);
    mp::Event gate;
    mp::Value<int> running(0), most(0);
    auto map = pool.map_async(mp::bind(note, gate, running, most), mp::range(40), {.chunk_size = 1});
    is_short = true;
    wait_for_a_look();
    gate.set();
    EXPECT_EQ(map.get().size(), 40U);
    EXPECT_EQ(most.load(), 1);

    mp::Barrier both(2);
    auto meeting = pool.map_async(mp::bind([](mp::Barrier& barrier, int) { barrier.wait(); }, both), mp::range(2));
    is_short = false;
    meeting.get();
}

}  // namespace
