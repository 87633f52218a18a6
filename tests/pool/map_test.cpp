// map, starmap, map_outcomes: what goes in, what comes out.
#include <array>
#include <filesystem>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "pool_fixture.hpp"

namespace {

using namespace mp::test;
using mp::CallOptions;
using mp::Pool;
using mp::PoolOptions;
using mp::StartMethod;

int square(int x) { return x * x; }
std::uint64_t same(std::uint64_t x) { return x; }
std::string shout(const std::string& text) { return text + "!"; }
std::size_t length(std::string text) { return text.size(); }
int add(int a, int b) { return a + b; }
void nothing(int) {}

using PoolMap = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolMap);
using PoolMapOnce = PoolTest;

// cpython: _TestPool.test_map
// cpython: ProcessPoolExecutorTest: chunk sizes, also larger than the input
TEST_P(PoolMap, ReturnsResultsInInputOrder) {
    Pool pool(options(3));
    std::vector<int> expected(1000);
    for (int i = 0; i < 1000; ++i) expected[static_cast<std::size_t>(i)] = i * i;
    EXPECT_EQ(pool.map(square, mp::range(1000)), expected);
    EXPECT_EQ(pool.map(square, mp::range(1000), {.chunk_size = 20}), expected);
    EXPECT_EQ(pool.map(square, mp::range(1000), {.chunk_size = 1}), expected);
    EXPECT_EQ(pool.map(square, mp::range(1000), {.chunk_size = 100'000}), expected);
}

// cpython: _TestPool.test_empty_iterable
// cpython: _TestPool.test_map_chunksize
TEST_P(PoolMap, OfNothingIsNothing) {
    Pool pool(options());
    const std::vector<int> none;
    EXPECT_TRUE(pool.map(square, none).empty());
    EXPECT_TRUE(pool.map(square, none, {.chunk_size = 1}).empty());
    EXPECT_TRUE(pool.map(square, mp::range(0)).empty());
    EXPECT_TRUE(pool.map(shout, std::vector<std::string>{}).empty());
    EXPECT_TRUE(pool.starmap(add, std::vector<std::pair<int, int>>{}).empty());
    EXPECT_TRUE(pool.map_outcomes(square, none).empty());
    pool.map(nothing, none);
}

TEST_P(PoolMap, OfOneElementIsOneResult) {
    Pool pool(options(4));
    EXPECT_EQ(pool.map(square, std::array{7}), std::vector{49});
    EXPECT_EQ(pool.map(shout, std::list<std::string>{"a"}), std::vector<std::string>{"a!"});
}

// cpython: _TestPool.test_starmap
TEST_P(PoolMap, StarmapSpreadsTuplesPairsArraysAndAggregates) {
    struct Task {
        int a;
        int b;
    };
    Pool pool(options());
    const std::vector expected{3, 7};
    EXPECT_EQ(pool.starmap(add, std::vector{std::pair(1, 2), std::pair(3, 4)}), expected);
    EXPECT_EQ(pool.starmap(add, std::vector{std::tuple(1, 2), std::tuple(3, 4)}), expected);
    EXPECT_EQ(pool.starmap(add, std::vector{std::array{1, 2}, std::array{3, 4}}), expected);
    EXPECT_EQ(pool.starmap(add, std::vector{Task{1, 2}, Task{3, 4}}), expected);
    EXPECT_EQ(pool.starmap(square, std::vector{std::tuple(5)}), std::vector{25});
}

TEST_P(PoolMap, CarriesStringsContainersAndNothing) {
    Pool pool(options());
    EXPECT_EQ(pool.map(shout, std::vector<std::string>{"a", "", "ccc"}), (std::vector<std::string>{"a!", "!", "ccc!"}));
    const auto counts = pool.map([](const std::vector<int>& v) { return std::map<int, std::string>{{int(v.size()), "n"}}; },
                                 std::vector<std::vector<int>>{{}, {1}, {1, 2}});
    EXPECT_EQ(counts.at(2).begin()->first, 2);
    pool.map(nothing, mp::range(100));
    static_assert(std::is_void_v<decltype(pool.map(nothing, mp::range(1)))>);
}

TEST_P(PoolMap, OutcomesKeepPlacesOfFailuresAndOfValues) {
    Pool pool(options());
    const auto outcomes = pool.map_outcomes(
        [](int x) {
            if (x % 3 == 0) throw std::out_of_range("three");
            return x;
        },
        mp::range(100));
    ASSERT_EQ(outcomes.size(), 100U);
    for (int i = 0; i < 100; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        ASSERT_EQ(outcome.has_value(), i % 3 != 0) << i;
        if (outcome) {
            EXPECT_EQ(*outcome, i);
        } else {
            ASSERT_TRUE(outcome.error().as<std::out_of_range>());
            ASSERT_TRUE(outcome.error().remote());
            EXPECT_EQ(outcome.error().remote()->task_index(), static_cast<std::uint64_t>(i));
        }
    }
}

TEST_F(PoolMapOnce, TakesAMillionElements) {
    Pool pool(2);
    const auto doubled = pool.map([](int x) { return 2 * x; }, mp::range(1'000'000));
    ASSERT_EQ(doubled.size(), 1'000'000U);
    for (int i = 0; i < 1'000'000; ++i) ASSERT_EQ(doubled[static_cast<std::size_t>(i)], 2 * i);
    std::vector<std::string> texts(100'000, "abc");
    const auto sizes = pool.map(length, texts);
    EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), std::size_t(0)), 300'000U);
    const auto shouts = pool.map(shout, texts);
    EXPECT_EQ(std::set<std::string>(shouts.begin(), shouts.end()), std::set<std::string>{"abc!"});
    EXPECT_EQ(shouts.size(), 100'000U);
}

TEST_P(PoolMap, TakesRangesUpToTheEndOfTheNumbers) {
    Pool pool(options());
    const std::uint64_t top = ~std::uint64_t(0);
    EXPECT_EQ(pool.map(same, mp::range(top - 3, top)), (std::vector{top - 3, top - 2, top - 1}));
    const auto low = std::numeric_limits<std::int64_t>::min();
    EXPECT_EQ(pool.map([](std::int64_t x) { return x; }, mp::range(low, low + 2)), (std::vector{low, low + 1}));
    EXPECT_EQ(pool.map([](int x) { return x; }, mp::range(-2, 2)), (std::vector{-2, -1, 0, 1}));
    EXPECT_EQ(pool.map([](signed char x) { return int(x); }, mp::range<signed char>(-128, -126)), (std::vector{-128, -127}));
}

TEST_P(PoolMap, RefusesARangeTooLongToHold) {
    Pool pool(options());
    const std::uint64_t top = ~std::uint64_t(0);
    error_of<mp::Error>([&] { pool.map(same, mp::range(top)); });
    error_of<mp::Error>([&] { pool.map(same, mp::range(top / 8)); });
    EXPECT_EQ(pool.map(same, mp::range(std::uint64_t(1))), std::vector<std::uint64_t>{0});
}

TEST_P(PoolMap, TakesEveryKindOfRange) {
    Pool pool(options());
    const std::vector expected{1, 4, 9};
    EXPECT_EQ(pool.map(square, std::list{1, 2, 3}), expected);
    EXPECT_EQ(pool.map(square, std::forward_list{1, 2, 3}), expected);
    EXPECT_EQ(pool.map(square, std::set{1, 2, 3}), expected);
    const int array[] = {1, 2, 3};
    EXPECT_EQ(pool.map(square, array), expected);
    EXPECT_EQ(pool.map(square, std::span(array)), expected);
    EXPECT_EQ(pool.map(square, std::views::iota(1, 4)), expected);
    const std::vector numbers{1, 2, 3, 4, 5, 6};
    EXPECT_EQ(pool.map(square, numbers | std::views::filter([](int x) { return x % 2; })), (std::vector{1, 9, 25}));
    EXPECT_EQ(pool.map(square, numbers | std::views::transform([](int x) { return -x; }) | std::views::take(3)), expected);
    EXPECT_EQ(pool.map(shout, numbers | std::views::take(2) | std::views::transform([](int x) { return std::to_string(x); })),
              (std::vector<std::string>{"1!", "2!"}));
    std::istringstream words("1 2 3");
    EXPECT_EQ(pool.map(square, std::views::istream<int>(words)), expected);
    EXPECT_EQ(pool.map(length, std::map<int, std::string>{{1, "a"}, {2, "bb"}} | std::views::values),
              (std::vector<std::size_t>{1, 2}));
    EXPECT_EQ(pool.starmap([](int n, const std::string& text) { return n + int(text.size()); },
                           std::map<int, std::string>{{1, "a"}, {2, "bb"}}),
              (std::vector{2, 4}));
}

TEST_P(PoolMap, TakesAndGivesBool) {
    Pool pool(options());
    const std::vector<bool> flags{true, false, true, true};
    const std::vector<bool> flipped = pool.map([](bool b) { return !b; }, flags);
    EXPECT_EQ(flipped, (std::vector<bool>{false, true, false, false}));
    EXPECT_EQ(pool.map([](bool b) { return b ? 1 : 2; }, std::vector<bool>{}), std::vector<int>{});
}

TEST_P(PoolMap, TakesStructsEnumsOptionalsAndPaths) {
    enum class Colour : unsigned char { red, green };
    struct Point {
        double x = 0, y = 0;
        Colour colour = Colour::red;
    };
    struct Named {
        std::string name;
        std::vector<Point> points;
    };
    Pool pool(options());
    const auto moved = pool.map([](Point p) { return Point{p.x + 1, p.y, Colour::green}; }, std::vector<Point>{{1, 2}, {3, 4}});
    EXPECT_EQ(moved[1].x, 4);
    EXPECT_EQ(moved[1].colour, Colour::green);
    const auto named = pool.map(
        [](Named n) {
            n.points.push_back({9, 9});
            n.name += "+";
            return n;
        },
        std::vector<Named>{{"a", {}}, {"b", {{1, 1}}}});
    EXPECT_EQ(named[1].name, "b+");
    EXPECT_EQ(named[1].points.size(), 2U);
    EXPECT_EQ(pool.map([](std::optional<int> o) { return o.value_or(-1); }, std::vector<std::optional<int>>{1, {}}),
              (std::vector{1, -1}));
    EXPECT_EQ(pool.map([](const std::filesystem::path& p) { return p.extension(); },
                       std::vector<std::filesystem::path>{"a.pdf", "b"}),
              (std::vector<std::filesystem::path>{".pdf", ""}));
}

TEST_P(PoolMap, MovesMoveOnlyInputsAndResults) {
    Pool pool(options());
    std::vector<std::unique_ptr<int>> inputs;
    for (int i = 0; i < 10; ++i) inputs.push_back(std::make_unique<int>(i));
    const auto results = pool.map([](std::unique_ptr<int> p) { return std::make_unique<int>(*p * 2); }, inputs);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(*results[static_cast<std::size_t>(i)], 2 * i);
    const auto outcomes = pool.map_outcomes([](std::unique_ptr<int> p) { return p; }, inputs);
    EXPECT_EQ(**outcomes[3], 3);
}

TEST_F(PoolMapOnce, CarriesResultsOfEverySize) {
    Pool pool(2);
    for (const std::size_t size : {8UL, 511UL, 512UL, 513UL, 4096UL, 8191UL, 8193UL, 262'143UL, 262'145UL, 1UL << 20, 64UL << 20}) {
        const std::size_t count = size > (1 << 20) ? 2 : 5;
        const auto results = pool.map([](std::size_t n) { return std::string(n, char('a' + n % 26)); }, std::vector(count, size));
        for (const auto& text : results) ASSERT_EQ(text, std::string(size, char('a' + size % 26))) << size;
    }
    const auto lengths = pool.map(length, std::vector<std::string>{std::string(16 << 20, 'x'), "y"});
    EXPECT_EQ(lengths, (std::vector<std::size_t>{16 << 20, 1}));
}

TEST_F(PoolMapOnce, GivesMemoryOfOldResultsBack) {
    Pool pool(1);
    // 30 maps of 64 MiB: kept, they would be 2 GiB of shared memory.
    for (int i = 0; i < 30; ++i) {
        const auto texts = pool.map([](int n) { return std::string(16 << 20, char('a' + n % 26)); }, mp::range(4));
        ASSERT_EQ(texts[3].size(), 16U << 20);
    }
    EXPECT_LT(pool.submit([] {
                      std::FILE* file = std::fopen("/proc/self/statm", "r");
                      long total = 0, resident = 0;
                      if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = -1;
                      std::fclose(file);
                      return resident * 4096L >> 20;
                  }).get(),
              600);
}

TEST_P(PoolMap, CallsClosuresFunctionObjectsBoundFunctionsAndMembers) {
    struct Scale {
        int factor = 1;
        int operator()(int x) const { return factor * x; }
    };
    struct Box {
        int value = 0;
        int twice() const { return 2 * value; }
    };
    Pool pool(options());
    const int k = 7;
    EXPECT_EQ(pool.map([k](int x) { return k * x; }, mp::range(3)), (std::vector{0, 7, 14}));
    EXPECT_EQ(pool.map(Scale{3}, mp::range(3)), (std::vector{0, 3, 6}));
    EXPECT_EQ(pool.map(&Box::twice, std::vector{Box{1}, Box{2}}), (std::vector{2, 4}));
    EXPECT_EQ(pool.map(mp::bind(add, 10), mp::range(3)), (std::vector{10, 11, 12}));
    const void* somewhere = &k;
    EXPECT_EQ(pool.map(mp::trust([somewhere](int x) { return somewhere ? x : -1; }), mp::range(2)), (std::vector{0, 1}));
    EXPECT_EQ(pool.map(+[](int x) { return x; }, mp::range(2)), (std::vector{0, 1}));
}

// A type that counts how often it was made from bytes in this process.
struct Table {
    std::vector<int> numbers;
    static inline int loads = 0;
    template <class Archive>
    void save(Archive& archive) const {
        archive(numbers);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(numbers);
        ++loads;
    }
};

TEST_F(PoolMapOnce, SendsABoundTableOncePerWorker) {
    Pool pool(2);
    Table table;
    table.numbers.resize(2'000'000, 1);
    const auto loads = pool.map(mp::bind([](Table& t, int x) { return t.numbers.at(static_cast<std::size_t>(x)) ? Table::loads : -1; }, table),
                                mp::range(1000), {.chunk_size = 1});
    for (const int count : loads) ASSERT_EQ(count, 1);
}

TEST_F(PoolMapOnce, ForgetsBoundTablesThatAreNoLongerUsed) {
    MP_SKIP_UNDER_SANITIZERS("freed memory is kept for a while there");
    Pool pool(1);
    const auto resident = [&] {
        return pool.submit([] {
            std::FILE* file = std::fopen("/proc/self/statm", "r");
            long total = 0, all = 0, shared = 0;
            if (std::fscanf(file, "%ld %ld %ld", &total, &all, &shared) != 3) all = -1;
            std::fclose(file);
            return (all - shared) * 4096L >> 20;
        }).get();
    };
    const long before = resident();
    const std::vector<int> table(4'000'000, 1);  // 16 MB
    for (int i = 0; i < 40; ++i)
        ASSERT_EQ(pool.map(mp::bind([](const std::vector<int>& t, int x) { return t.at(static_cast<std::size_t>(x)); }, table), mp::range(2)),
                  (std::vector{1, 1}));
    EXPECT_LT(resident() - before, 200);
}

struct LyingRange {
    int fail_at;
    struct Iterator {
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;
        int at = 0, fail_at = 0;
        int operator*() const {
            if (at == fail_at) throw std::domain_error("the input is broken");
            return at;
        }
        Iterator& operator++() { return ++at, *this; }
        void operator++(int) { ++at; }
        friend bool operator==(const Iterator& it, std::default_sentinel_t) { return it.at == 10; }
    };
    Iterator begin() const { return {0, fail_at}; }
    std::default_sentinel_t end() const { return {}; }
};

// cpython: _TestPool.test_map_handle_iterable_exception
// cpython: _TestPool.test_traceback (an error in the input range is not marked remote)
TEST_P(PoolMap, AnInputThatThrowsFailsTheCallAndLeavesThePoolUsable) {
    Pool pool(options());
    for (const int fail_at : {0, 5, 9}) {
        try {
            pool.map(square, LyingRange{fail_at});
            FAIL() << "nothing was thrown";
        } catch (const mp::RemoteError&) {
            FAIL() << "it was not the worker that threw";
        } catch (const std::domain_error& error) {
            EXPECT_STREQ(error.what(), "the input is broken");
        }
        EXPECT_EQ(pool.map(square, LyingRange{-1}).size(), 10U);
    }
}

// cpython: _TestPool.test_map_no_failfast
TEST_P(PoolMap, ThrowsTheFirstErrorByIndexAfterEverythingRan) {
    mp::Value<int> ran(0);
    Pool pool(options());
    try {
        pool.map(mp::bind(
                     [](mp::Value<int>& count, int x) {
                         ++count;
                         if (x == 90 || x == 17 || x == 50) throw std::runtime_error("number " + std::to_string(x));
                     },
                     ran),
                 mp::range(100), {.chunk_size = 5});
        FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "number 17");
    }
    EXPECT_EQ(ran.load(), 100);
}

TEST_P(PoolMap, RefusesAChunkSizeBelowOne) {
    Pool pool(options(1));
    error_of<std::invalid_argument>([&] { pool.map(square, mp::range(3), {.chunk_size = 0}); });
    error_of<std::invalid_argument>([&] { pool.map(square, mp::range(3), {.chunk_size = -1}); });
    EXPECT_EQ(pool.map(square, mp::range(2)), (std::vector{0, 1}));
}

TEST_P(PoolMap, RefusesAHandleInsideAnElementAndSaysWhatToDo) {
    Pool pool(options(1));
    std::vector<mp::Value<int>> values(2);
    EXPECT_THAT(error_of<mp::SerializationError>([&] { pool.map([](mp::Value<int> v) { return v.load(); }, values); }),
                ::testing::HasSubstr("mp::bind"));
    error_of<mp::SerializationError>([&] { pool.map([](int) { return mp::Value<int>(1); }, mp::range(2)); });
    EXPECT_EQ(pool.map(square, mp::range(2)), (std::vector{0, 1}));
}

TEST_F(PoolMapOnce, SharesWorkOfUnevenElements) {
    Pool pool(2);
    const auto pids = pool.map(
        [](int x) {
            if (x == 0) ::usleep(200'000);
            return ::getpid();
        },
        mp::range(200));
    const auto slow = pids[0];
    EXPECT_GT(std::count_if(pids.begin(), pids.end(), [&](pid_t p) { return p != slow; }), 150);
}

TEST_P(PoolMap, RunsMapsOfManyThreadsAtOnce) {
    Pool pool(options(3));
    std::vector<std::jthread> threads;
    std::atomic<int> right = 0;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            for (int round = 0; round < 20; ++round) {
                const auto sums = pool.map([t](int x) { return x + t; }, mp::range(200));
                const auto texts = pool.map(shout, std::vector<std::string>(20, std::to_string(t)));
                bool good = sums.size() == 200 && texts.size() == 20;
                for (int i = 0; i < 200; ++i) good = good && sums[static_cast<std::size_t>(i)] == i + t;
                for (const auto& text : texts) good = good && text == std::to_string(t) + "!";
                right += good;
            }
        });
    threads.clear();
    EXPECT_EQ(right, 160);
}

}  // namespace
