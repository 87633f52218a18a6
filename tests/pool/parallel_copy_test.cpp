// What several threads of the caller copy: large inputs and results of a map that are vectors and strings.
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <multiprocessing/detail/in_parallel.hpp>
#include <multiprocessing/detail/serial_run.hpp>

#include "pool/copying_threads.hpp"
#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;
using mp::detail::in_parallel;

/// The threads of this process that came along, in the order in which they did.
class Threads {
  public:
    void note() {
        const std::lock_guard lock(mutex_);
        seen_.insert(std::this_thread::get_id());
    }
    std::set<std::thread::id> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(seen_, {});
    }

  private:
    std::mutex mutex_;
    std::set<std::thread::id> seen_;
};
Threads of_own_code;
const std::set<std::thread::id> this_thread_alone() { return {std::this_thread::get_id()}; }

/// Packed by the program's own code.
struct Own {
    std::string text;
};

/// The program's own memory.
template <class T>
struct Noting {
    using value_type = T;
    Noting() = default;
    template <class U>
    Noting(const Noting<U>&) {}
    T* allocate(std::size_t count) {
        of_own_code.note();
        return std::allocator<T>().allocate(count);
    }
    void deallocate(T* at, std::size_t count) { std::allocator<T>().deallocate(at, count); }
    bool operator==(const Noting&) const = default;
};

/// Vectors of these are packed by the program's own code.
struct Pixel {
    std::uint8_t red, green, blue;
};

struct Counted {
    std::int64_t value = 0;
    constexpr Counted() { value = 1; }
};
struct alignas(16) Wide {
    std::int64_t values[2] = {};
};

/// Not every byte is one of these.
struct Flag {
    bool value;
};

}  // namespace

template <>
struct mp::serial::codec<Own> {
    static void encode(Writer& writer, const Own& own) {
        of_own_code.note();
        serial::encode(writer, own.text);
    }
    static Own decode(Reader& reader) {
        of_own_code.note();
        return {serial::decode<std::string>(reader)};
    }
};
template <>
struct mp::serial::codec<std::vector<Pixel>> {
    static void encode(Writer& writer, const std::vector<Pixel>& pixels) { serial::encode(writer, pixels.size()); }
    static std::vector<Pixel> decode(Reader& reader) { return std::vector<Pixel>(serial::decode<std::size_t>(reader)); }
};

namespace {

constexpr std::uint64_t enough = 2 * mp::pool::worth_a_thread;

class ThreadsThatCannotStart {
  public:
    // No stack can be as large as that.
    ThreadsThatCannotStart() {
        ::pthread_getattr_default_np(&before_);
        pthread_attr_t attributes;
        ::pthread_getattr_default_np(&attributes);
        ::pthread_attr_setstacksize(&attributes, std::size_t{1} << 60);
        ::pthread_setattr_default_np(&attributes);
        ::pthread_attr_destroy(&attributes);
    }
    ~ThreadsThatCannotStart() {
        ::pthread_setattr_default_np(&before_);
        ::pthread_attr_destroy(&before_);
    }

  private:
    pthread_attr_t before_{};
};

using InParallel = PoolTest;

TEST_F(InParallel, EachPartIsDoneOnce) {
    for (const int threads : {0, 1, 2, 3, 64}) {
        for (const std::uint64_t count : {0, 1, 2, 31, 32, 33, 1000}) {
            std::vector<std::atomic<int>> done(count);
            in_parallel(count, threads, [&](std::uint64_t begin, std::uint64_t end) {
                for (; begin != end; ++begin) ++done[begin];
            });
            for (const auto& one : done) ASSERT_EQ(one, 1) << count << " by " << threads;
        }
    }
}

TEST_F(InParallel, ThreadsWorkAtTheSameTimeAndGetNoSignals) {
    sigset_t before;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &before);
    std::mutex mutex;
    std::condition_variable changed;
    Threads threads;
    int inside = 0;
    std::atomic<bool> interruptible{false};
    const auto caller = std::this_thread::get_id();
    in_parallel(2, 2, [&](std::uint64_t, std::uint64_t) {
        threads.note();
        sigset_t blocked;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
        if (std::this_thread::get_id() != caller && ::sigismember(&blocked, SIGINT) == 0) interruptible = true;
        std::unique_lock lock(mutex);
        ++inside;
        changed.notify_all();
        EXPECT_TRUE(changed.wait_for(lock, patience, [&] { return inside == 2; }));
    });
    EXPECT_EQ(threads.take().size(), 2U);
    EXPECT_FALSE(interruptible);
    sigset_t after;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &after);
    for (int signal = 1; signal < SIGRTMAX; ++signal)
        EXPECT_EQ(::sigismember(&before, signal), ::sigismember(&after, signal)) << signal;
}

TEST_F(InParallel, AnErrorEndsItAndIsThrown) {
    for (const int threads : {1, 2, 5}) {
        std::atomic<int> ended{0};
        EXPECT_THROW(in_parallel(1000, threads,
                                 [&](std::uint64_t begin, std::uint64_t end) {
                                     if (begin <= 500 && 500 < end) throw std::length_error("the middle");
                                     ++ended;
                                 }),
                     std::length_error);
    }
}

TEST_F(InParallel, TheCallerDoesItAllWhenNoThreadCanBeStarted) {
    const ThreadsThatCannotStart none;
    ASSERT_THROW(std::thread([] {}).join(), std::system_error);
    Threads threads;
    std::uint64_t done = 0;
    in_parallel(1000, 4, [&](std::uint64_t begin, std::uint64_t end) {
        threads.note();
        done += end - begin;
    });
    EXPECT_EQ(done, 1000U);
    EXPECT_EQ(threads.take(), this_thread_alone());
}

TEST(CopyingThreads, AreStartedForManyBytesOnly) {
    using mp::pool::copying_threads;
    const int cpus = static_cast<int>(mp::cpu_count());
    EXPECT_EQ(copying_threads(0, 8), 1);
    EXPECT_EQ(copying_threads(enough - 1, 8), 1);
    EXPECT_EQ(copying_threads(enough, 8), std::min(cpus, 2));
    EXPECT_EQ(copying_threads(enough, 1), 1);
    EXPECT_EQ(copying_threads(std::uint64_t{1} << 40, 3), std::min(cpus, 3));
    EXPECT_EQ(copying_threads(~std::uint64_t{0}, 1 << 30), cpus);
}

TEST(CopyingThreads, RunNoneOfTheProgramsCode) {
    using mp::serial::detail::plain_run;
    EXPECT_TRUE((plain_run<std::string> && plain_run<std::vector<double>> && plain_run<std::vector<Flag>>));
    EXPECT_TRUE(plain_run<std::vector<Counted>>);  // which are copied, not made
    EXPECT_FALSE(plain_run<std::vector<Wide>>)
        << "a constructor of elements, which do not lie where they can be copied";
    EXPECT_FALSE(plain_run<std::vector<Pixel>>) << "a codec";
    EXPECT_FALSE((plain_run<std::vector<double, Noting<double>>>)) << "an allocator";
    EXPECT_FALSE(plain_run<std::vector<std::string>>);
    EXPECT_FALSE(plain_run<std::vector<bool>>);
}

// Some are empty, some small; together they are worth several threads.
std::vector<std::vector<std::uint32_t>> uneven_vectors() {
    std::vector<std::vector<std::uint32_t>> list;
    for (std::uint32_t i = 0; i < 300; ++i) {
        list.emplace_back(i % 7 == 0 ? 0 : i % 11 == 0 ? 20'000 : i * 37 % 10'000);
        for (std::uint32_t j = 0; j < list.back().size(); ++j) list.back()[j] = i * 1'000'003 + j;
    }
    return list;
}
std::vector<std::uint32_t> reversed(std::vector<std::uint32_t> numbers) { return {numbers.rbegin(), numbers.rend()}; }
std::string with_end(const std::string& text) { return text + "end"; }

using ParallelCopy = PoolByEveryEngine;
MP_EVERY_ENGINE(ParallelCopy);

TEST_P(ParallelCopy, VectorsOfUnevenSizesArriveAndComeBack) {
    const auto inputs = uneven_vectors();
    std::uint64_t bytes = 0;
    for (const auto& input : inputs) bytes += input.size() * sizeof input[0];
    ASSERT_GT(bytes, enough);
    Pool pool(options());
    for (int round = 0; round < 2; ++round) {
        const auto results = pool.map(reversed, inputs);
        ASSERT_EQ(results.size(), inputs.size());
        for (std::size_t i = 0; i < inputs.size(); ++i) ASSERT_EQ(results[i], reversed(inputs[i])) << i;
    }
    EXPECT_EQ(pool.map_async(reversed, inputs).get(), pool.map(reversed, std::list(inputs.begin(), inputs.end())));
}

TEST_P(ParallelCopy, StringsArriveAndComeBackOnBothSidesOfTheThreshold) {
    constexpr std::size_t count = 1000;
    Pool pool(options());
    for (const std::uint64_t size : {enough / count - 100, enough / count + 100}) {
        std::vector<std::string> inputs;
        for (std::size_t i = 0; i < count; ++i) inputs.emplace_back(size, static_cast<char>('a' + i % 26));
        const auto results = pool.map(with_end, inputs);
        ASSERT_EQ(results.size(), count);
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(results[i], inputs[i] + "end") << i;
    }
}

TEST_P(ParallelCopy, LargeArraysArriveWhole) {
    std::vector<std::uint64_t> inputs(1'000'003);
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = i * i;
    Pool pool(options());
    EXPECT_EQ(pool.map([](std::uint64_t value) { return value; }, inputs), inputs);
}

TEST_P(ParallelCopy, FailuresStandBetweenTheResults) {
    Pool pool(options());
    const auto outcomes = pool.map_outcomes(
        [](int i) {
            if (i % 10 == 3) throw std::invalid_argument("no " + std::to_string(i));
            return std::string(50'000, static_cast<char>('a' + i % 26));
        },
        mp::range(300));
    ASSERT_EQ(outcomes.size(), 300U);
    for (int i = 0; i < 300; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        if (i % 10 == 3)
            ASSERT_TRUE(outcome.error().as<mp::RemoteError>() || outcome.error().as<std::invalid_argument>()) << i;
        else
            ASSERT_EQ(*outcome, std::string(50'000, static_cast<char>('a' + i % 26))) << i;
    }
}

std::vector<Flag> flags(int i) {
    std::vector<Flag> list(100'000, Flag{true});
    if (i == 70) *reinterpret_cast<unsigned char*>(&list[5]) = 7;
    return list;
}

TEST_P(ParallelCopy, ADamagedResultInTheMiddleIsAnError) {
    Pool pool(options());
    EXPECT_THROW(pool.map(flags, mp::range(100)), mp::SerializationError);
    const auto outcomes = pool.map_outcomes(flags, mp::range(100));
    for (std::size_t i = 0; i < 100; ++i) {
        if (i == 70)
            ASSERT_TRUE(outcomes[i].error().as<mp::SerializationError>());
        else
            ASSERT_EQ(outcomes[i]->size(), 100'000U) << i;
    }
}

TEST_P(ParallelCopy, NothingIsMissingWhenNoThreadCanBeStarted) {
    const auto inputs = uneven_vectors();
    Pool pool(options());
    const ThreadsThatCannotStart none;
    const auto results = pool.map(reversed, inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) ASSERT_EQ(results[i], reversed(inputs[i])) << i;
}

using ParallelCopyOnce = PoolTest;

TEST_F(ParallelCopyOnce, TheProgramsOwnCodeRunsOnTheCallingThreadAlone) {
    Pool pool(2);
    constexpr std::size_t size = 100'000;
    const std::vector<Own> own(100, Own{std::string(size, 'o')});
    of_own_code.take();
    EXPECT_EQ(pool.map([](Own one) { return one; }, own).size(), own.size());
    EXPECT_EQ(of_own_code.take(), this_thread_alone()) << "of a codec";

    using Noted = std::vector<char, Noting<char>>;
    const std::vector<Noted> noted(100, Noted(size, 'n'));
    of_own_code.take();
    EXPECT_EQ(pool.map([](Noted one) { return one; }, noted), noted);
    EXPECT_EQ(of_own_code.take(), this_thread_alone()) << "of an allocator";
}

}  // namespace
