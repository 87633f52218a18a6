// imap and its kin: laziness, order, errors, memory.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::Pool;

using PoolStream = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolStream);
using PoolStreamOnce = PoolTest;

int twice(int x) { return 2 * x; }
int fail_on_three(int x) {
    if (x == 3) throw std::domain_error("three");
    return x;
}

// Counts from 0 for ever, or until it throws; says how far it has been read.
class Counting {
  public:
    class Iterator {
      public:
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        explicit Iterator(Counting* from = nullptr) : from_(from) {}
        int operator*() const {
            ++from_->read;
            return from_->at;
        }
        Iterator& operator++() {
            if (++from_->at == from_->throws_at) throw std::length_error("input");
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.from_->at == i.from_->last; }

      private:
        Counting* from_;
    };
    Iterator begin() { return Iterator(this); }
    std::default_sentinel_t end() const { return {}; }

    int at = 0;
    int read = 0;
    int throws_at = -1;
    int last = -1;
};

TEST_P(PoolStream, GivesResultsInInputOrder) {
    Pool pool(options());
    std::vector<int> results;
    for (int y : pool.imap(twice, mp::range(0, 5000))) results.push_back(y);
    EXPECT_EQ(results, pool.map(twice, mp::range(0, 5000)));
    for (int y : pool.imap(twice, std::vector<int>())) ADD_FAILURE() << y;
}

TEST_P(PoolStream, UnorderedGivesEachResultOnce) {
    Pool pool(options());
    std::vector<int> results;
    for (int y : pool.imap_unordered(twice, std::vector{1, 2, 3, 4, 5})) results.push_back(y);
    std::ranges::sort(results);
    EXPECT_EQ(results, (std::vector{2, 4, 6, 8, 10}));
}

TEST_P(PoolStream, UnorderedDoesNotWaitForASlowElement) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options());
    mp::Event open;
    const auto hold_zero = [](mp::Event& gate, int x) {
        if (x == 0) gate.wait();
        return x;
    };
    std::vector<int> order;
    for (int x : pool.imap_unordered(mp::bind(hold_zero, open), mp::range(0, 50))) {
        order.push_back(x);
        if (order.size() == 10) open.set();
    }
    EXPECT_EQ(order.size(), 50U);
    EXPECT_NE(order.front(), 0);
}

TEST_P(PoolStream, SpreadsElementsAndCarriesStringsAndMoveOnlyResults) {
    Pool pool(options());
    std::string all;
    const std::vector<std::pair<int, std::string>> pairs{{1, "a"}, {2, "b"}};
    for (const std::string& s : pool.istarmap([](int n, const std::string& s) { return std::string(n, s[0]); }, pairs))
        all += s;
    EXPECT_EQ(all, "abb");
    int sum = 0;
    for (std::unique_ptr<int>& p : pool.imap([](int x) { return std::make_unique<int>(x); }, mp::range(0, 5)))
        sum += *p;
    EXPECT_EQ(sum, 10);
    int count = 0;
    for ([[maybe_unused]] auto nothing : pool.imap([](int) {}, mp::range(0, 7))) ++count;
    EXPECT_EQ(count, 7);
}

// cpython: _TestPool.test_imap, test_imap_unordered (lazily here, where Python reads all of the input)
TEST_P(PoolStream, ReadsAnEndlessRangeOnlyAsFarAsItsWindow) {
    Pool pool(options());
    Counting numbers;
    int taken = 0;
    for (int y : pool.imap(twice, numbers, {.window = 10})) {
        EXPECT_EQ(y, 2 * taken);
        ++taken;
        EXPECT_LE(numbers.read, taken + 9);
        if (taken == 300) break;
    }
    EXPECT_EQ(taken, 300);
    Counting unread;
    auto stream = pool.imap(twice, unread);
    EXPECT_EQ(unread.read, 0) << "nothing is read before begin()";
}

TEST_P(PoolStream, ReadsFewAheadWhileTasksTakeLong) {
    Pool pool(options());
    Counting numbers;
    int taken = 0;
    for ([[maybe_unused]] int y : pool.imap([](int x) { return ::usleep(20'000), x; }, numbers)) {
        ++taken;
        EXPECT_LE(numbers.read, taken + 2 * 2 * 2);
        if (taken == 10) break;
    }
}

TEST_P(PoolStream, CountsItsWindowInBytesToo) {
    Pool pool(options());
    const auto sized = [](const std::string& s) { return s.size(); };
    int read = 0, taken = 0;
    auto large =
        std::views::iota(0, 100) | std::views::transform([&](int) { return ++read, std::string(100'000, 'x'); });
    for (std::size_t size : pool.imap(sized, large, {.window_bytes = 1'000'000})) {
        EXPECT_EQ(size, 100'000U);
        EXPECT_LE(read, ++taken + 11);
    }
    EXPECT_EQ(taken, 100);
}

TEST_P(PoolStream, LeavingEarlyCancelsWhatHasNotBegun) {
    MP_SKIP_UNLESS(is_parallel);
    Pool pool(options(1));
    mp::Value<int> ran(0);
    mp::Event open;
    const auto count = [](mp::Value<int>& counter, mp::Event& gate, int x) {
        ++counter;
        if (x > 0)
            gate.wait();
        else
            ::usleep(2000);  // no short task: the worker is handed few beforehand
        return x;
    };
    for ([[maybe_unused]] int x : pool.imap(mp::bind(count, ran, open), mp::range(0, 1000), {.window = 500})) break;
    open.set();
    pool.close();
    pool.join();
    EXPECT_LT(ran.load(), 20);
}

TEST_P(PoolStream, LeavingEarlyStopsWhatRuns) {
    MP_SKIP_UNLESS(stops_tasks);
    Pool pool(options());
    const auto hang = [](int x) {
        while (x > 0) ::pause();
        return x;
    };
    for (const int x : pool.imap(hang, mp::range(0, 10))) {
        EXPECT_EQ(x, 0);
        break;
    }
    // Leaving the pool would wait for tasks that still run.
    EXPECT_EQ(pool.map(twice, mp::range(4)), (std::vector{0, 2, 4, 6}));
}

// cpython: _TestPool.test_imap_handle_iterable_exception, test_imap_unordered_handle_iterable_exception
TEST_P(PoolStream, AnErrorOfTheInputComesAfterTheResultsBeforeItAndIsNotRemote) {
    Pool pool(options());
    Counting numbers;
    numbers.throws_at = 20;
    std::vector<int> results;
    try {
        for (int y : pool.imap(twice, numbers)) results.push_back(y);
        ADD_FAILURE() << "nothing was thrown";
    } catch (const std::length_error& error) {
        EXPECT_STREQ(error.what(), "input");
        EXPECT_EQ(dynamic_cast<const mp::RemoteError*>(&error), nullptr);
    }
    EXPECT_EQ(results.size(), 20U);
    Counting others;
    others.throws_at = 20;
    int count = 0;
    EXPECT_THROW(for ([[maybe_unused]] int y : pool.imap_unordered(twice, others))++ count, std::length_error);
    EXPECT_EQ(count, 20);
}

// cpython: ExecutorTest.test_map_exception (the error surfaces at its position, after earlier results)
TEST_P(PoolStream, AFailedElementThrowsAtItsPlaceAndTheStreamCanGoOn) {
    Pool pool(options());
    auto stream = pool.imap(fail_on_three, mp::range(0, 6));
    std::vector<int> results;
    std::string text;
    auto at = stream.begin();
    while (at != stream.end()) {
        results.push_back(*at);
        try {
            ++at;
        } catch (const std::domain_error& error) {
            text = error.what();
            ++at;
        }
    }
    EXPECT_EQ(text, "three");
    EXPECT_EQ(results, (std::vector{0, 1, 2, 4, 5}));
}

TEST_P(PoolStream, OutcomesGoOnAfterErrorsAndNameTheElement) {
    MP_SKIP_UNLESS(isolates_crashes);
    MP_SKIP_UNDER_SANITIZERS("the crash is raw");
    Pool pool(options());
    const auto dies_on_four = [](int x) {
        if (x == 4) ::raise(SIGKILL);
        return fail_on_three(x);
    };
    std::vector<bool> good;
    for (const auto& outcome : pool.imap_outcomes(dies_on_four, mp::range(0, 8), {.label = "numbers"})) {
        if (good.size() == 4) {
            EXPECT_EQ(outcome.error().worker_lost()->task_index(), 4U);
            EXPECT_EQ(outcome.error().worker_lost()->label(), "numbers");
        }
        good.push_back(outcome.has_value());
    }
    EXPECT_EQ(good, (std::vector<bool>{true, true, true, false, false, true, true, true}));
    int count = 0;
    for (const auto& outcome : pool.imap_unordered_outcomes(fail_on_three, mp::range(0, 8)))
        count += outcome.has_value();
    EXPECT_EQ(count, 7);
}

// Pages of this process, shared ones included.
long resident() {
    std::ifstream file("/proc/self/statm");
    long size = 0, pages = 0;
    file >> size >> pages;
    return pages;
}

// As many elements under way, and as much memory, after ten million as after one.
TEST_F(PoolStreamOnce, HoldsNoMoreElementsAndNoMoreMemoryHoweverLongItIs) {
    MP_SKIP_UNDER_SANITIZERS("freed memory is kept for a while there");
    Pool pool(2);
    Counting numbers;
    numbers.last = 10'000'000;
    int taken = 0, most = 0;
    long pages = 0;
    for (int y : pool.imap(twice, numbers)) {
        ASSERT_EQ(y, 2 * taken++);
        most = std::max(most, numbers.read - taken);
        if (taken == 1'000'000) pages = resident();
    }
    EXPECT_EQ(taken, numbers.last);
    EXPECT_LE(most, 2 * 2 * 2048);
    EXPECT_LT(resident() - pages, (16 << 20) / 4096) << "two bytes an element would be more";

    taken = 0;
    for ([[maybe_unused]] int y : pool.imap_unordered(twice, mp::range(0, 1'000'000)))
        if (++taken == 100'000) pages = resident();
    EXPECT_LT(resident() - pages, (16 << 20) / 4096);
    for (const long worker : pool.run_on_all(resident)) EXPECT_LT(worker, (256 << 20) / 4096);
}

TEST_P(PoolStream, RefusesAnEmptyWindow) {
    Pool pool(options(1));
    EXPECT_EQ(error_of<std::invalid_argument>([&] { pool.imap(twice, mp::range(3), {.window = 0}); }),
              "window must be at least 1, not 0");
}

static_assert(std::ranges::input_range<decltype(std::declval<Pool&>().imap(twice, mp::range(3)))>);
static_assert(std::ranges::view<decltype(std::declval<Pool&>().imap(twice, mp::range(3)))>);

}  // namespace
