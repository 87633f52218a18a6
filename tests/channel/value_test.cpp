#include <multiprocessing/errors.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"
#include "support/party.hpp"

namespace mp {
namespace {

struct Point {
    double x, y, z;
    friend bool operator==(const Point&, const Point&) = default;
};
struct Small {
    short a;
    char b;
};

template <class T>
class ValueOf : public testing::Test {};
using Numbers = testing::Types<char, short, int, unsigned, long, unsigned long long, float, double>;
TYPED_TEST_SUITE(ValueOf, Numbers);

// cpython: _TestValue.test_value, _TestValue.test_rawvalue, _TestSharedCTypes.test_sharedctypes
TYPED_TEST(ValueOf, IsSeenByTheParentWhenTheChildStoresIt) {
    Value<TypeParam> value(TypeParam(5));
    EXPECT_EQ(value.load(), TypeParam(5));
    test::Child child([&] { return value.load() == TypeParam(5) ? (value.store(TypeParam(42)), 0) : 1; });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(value.load(), TypeParam(42));
}

TYPED_TEST(ValueOf, OperatorsComputeWhatTheyDoOnTheType) {
    using T = TypeParam;
    Value<T> value(T(7));
    EXPECT_EQ(value += T(3), T(10));
    EXPECT_EQ(value -= T(4), T(6));
    EXPECT_EQ(++value, T(7));
    EXPECT_EQ(value++, T(7));
    EXPECT_EQ(value--, T(8));
    EXPECT_EQ(--value, T(6));
    EXPECT_EQ(value *= T(5), T(30));
    EXPECT_EQ(value /= T(2), T(15));
    EXPECT_EQ(value.fetch_add(T(1)), T(15));
    EXPECT_EQ(value.fetch_sub(T(2)), T(16));
    EXPECT_EQ(value.exchange(T(3)), T(14));
    T expected = T(4);
    EXPECT_FALSE(value.compare_exchange(expected, T(9)));
    EXPECT_EQ(expected, T(3));
    EXPECT_TRUE(value.compare_exchange(expected, T(9)));
    EXPECT_EQ(value.load(), T(9));
    value = T(1);
    const T read = value;
    EXPECT_EQ(read, T(1));
    EXPECT_EQ(value.update([](T old) { return static_cast<T>(old + 1); }), T(2));
}

TYPED_TEST(ValueOf, LosesNoUpdateBetweenOperatorsAndGuards) {
    using T = TypeParam;
    constexpr int rounds = sizeof(T) == 1 ? 10 : sizeof(T) == 2 ? 5000 : 20000;
    Value<T> value(T(0));
    const auto add = [&] {
        for (int i = 0; i < rounds; ++i) value += T(1);
        for (int i = 0; i < rounds; ++i) ++value;
    };
    const auto guard = [&] {
        for (int i = 0; i < rounds; ++i) {
            auto v = value.lock();
            *v = static_cast<T>(*v + 1);
        }
    };
    {
        test::Child child([&] { return add(), 0; });
        test::Child other([&] { return guard(), 0; });
        std::jthread thread(guard);
        add();
        EXPECT_EQ(child.wait(), 0);
        EXPECT_EQ(other.wait(), 0);
    }
    EXPECT_EQ(value.load(), static_cast<T>(6 * rounds));
}

TEST(Value, FetchAddHandsOutEachTicketOnceWhileGuardsChangeNothing) {
    Value<int> value(0);
    constexpr int rounds = 20000;
    std::vector<int> seen(2 * rounds);
    {
        std::jthread guard([&](std::stop_token stop) {
            while (!stop.stop_requested()) auto v = value.lock();
        });
        std::jthread one([&] {
            for (int i = 0; i < rounds; ++i) std::atomic_ref(seen[static_cast<std::size_t>(value.fetch_add(1))])++;
        });
        for (int i = 0; i < rounds; ++i) std::atomic_ref(seen[static_cast<std::size_t>(value.fetch_add(1))])++;
        one.join();
    }
    for (int count : seen) ASSERT_EQ(count, 1);
}

TEST(Value, WrapsAroundAsUnsignedArithmeticDoes) {
    Value<unsigned char> byte(250);
    EXPECT_EQ(byte += 10, 4);
    EXPECT_EQ(byte.load(), 4);
    Value<int> top(0x7fffffff);
    EXPECT_EQ(++top, -0x7fffffff - 1);
    EXPECT_EQ(top -= 1, 0x7fffffff);
    Value<std::uint32_t> zero(0);
    EXPECT_EQ(--zero, 0xffffffffU);
    EXPECT_EQ(zero ^= 0xffU, 0xffffff00U);
    EXPECT_EQ(zero |= 1U, 0xffffff01U);
    EXPECT_EQ(zero &= 0xf1U, 0x01U);
}

// cpython: _TestSharedCTypes.test_synchronize, _TestValue.test_getobj_getlock
TEST(Value, GuardReachesTheFieldsOfAStruct) {
    Value<Point> point({1, 2, 3});
    test::Child child([&] {
        auto v = point.lock();
        v->x *= 2;
        v->y *= 2;
        v->z *= 2;
        return v.recovered() ? 1 : 0;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(point.load(), (Point{2, 4, 6}));
    point = Point{7, 8, 9};
    EXPECT_EQ(point.exchange({0, 0, 0}), (Point{7, 8, 9}));
    Value<Small> small({1, 'x'});
    small.lock()->a = 5;
    EXPECT_EQ(small.load().a, 5);
    EXPECT_EQ(small.load().b, 'x');
}

TEST(Value, CopiesAreTheSameVariableAndAValueMadeFromItsContentsIsNot) {
    // cpython: _TestSharedCTypes.test_copy
    Value<int> first(1);
    Value<int> same(first);
    Value<int> other(first.load());
    ++same;
    EXPECT_EQ(first.load(), 2);
    EXPECT_EQ(other.load(), 1);
    EXPECT_TRUE(first.is_same(same));
    EXPECT_FALSE(first.is_same(other));
}

TEST(Value, AnOperatorUnderOnesOwnGuardIsAnErrorAndNoDeadlock) {
    Value<int> narrow(1);
    Value<long> wide(1);
    {
        auto v = narrow.lock();
        EXPECT_THROW(++narrow, SystemError);
        EXPECT_THROW((void)narrow.lock(), SystemError);
        EXPECT_EQ(narrow.load(), 1);
        *v = 5;
        EXPECT_EQ(narrow.load(), 1);
    }
    EXPECT_EQ(narrow.load(), 5);
    {
        auto v = wide.lock();
        EXPECT_THROW(++wide, SystemError);
        *v = 6;
    }
    EXPECT_EQ(++wide, 7);
}

template <class T>
void a_guard_killed_at_any_step(T before, T after) {
    Value<T> value(before);
    const int steps = test::kill_each_step([&] {
        auto v = value.lock();
        *v = after;
    }, [&](bool finished) {
        const T seen = value.load();
        EXPECT_TRUE(finished ? seen == after : (seen == after || seen == before));
        auto v = value.lock();
        EXPECT_TRUE(*v == seen);
        *v = before;
    });
    EXPECT_GE(steps, 4);
}

TEST(Value, AGuardKilledAtAnyStepBlocksNobodyAndLeavesAWholeValue) {
    a_guard_killed_at_any_step<int>(5, 7);
    a_guard_killed_at_any_step<long>(5, 7);
    a_guard_killed_at_any_step<Point>({1, 1, 1}, {2, 2, 2});
}

TEST(Value, TheNextGuardIsToldOfAKilledOne) {
    Value<int> value(3);
    test::Child child([&] {
        auto v = value.lock();
        *v = 4;
        ::raise(SIGKILL);
        return 0;
    });
    EXPECT_EQ(child.wait(), -SIGKILL);
    EXPECT_EQ(value.load(), 3);
    EXPECT_EQ(value += 2, 5);  // finds the dead owner, and the next guard still hears of it
    EXPECT_TRUE(value.lock().recovered());
    EXPECT_FALSE(value.lock().recovered());
    EXPECT_EQ(value.load(), 5);
}

class SharedValues : public test::EveryMethod {};

TEST_P(SharedValues, LoseNoUpdateOfAStructUnderItsGuard) {
    Value<Point> point({0, 0, 0});
    std::vector<test::Party> parties;
    for (int i = 0; i < 3; ++i) {
        parties.emplace_back(
            GetParam(),
            [](Value<Point> shared) {
                for (int k = 0; k < 2000; ++k) {
                    auto guard = shared.lock();
                    guard->x += 1;
                    guard->z -= 1;
                }
                return 0;
            },
            point);
    }
    for (auto& party : parties) EXPECT_EQ(party.wait(), 0);
    EXPECT_EQ(point.load(), (Point{6000, 0, -6000}));
}

// cpython: _TestArray.test_array, _TestArray.test_rawarray
TEST_P(SharedValues, AnArrayIsComputedInPlace) {
    Array<int> array{680, 626, 934, 821, 150, 233, 548, 982, 714, 831};
    std::vector<int> expected(array.begin(), array.end());
    for (std::size_t i = 1; i < expected.size(); ++i) expected[i] += expected[i - 1];
    test::Party party(
        GetParam(),
        [](Array<int> numbers) {
            for (std::size_t i = 1; i < numbers.size(); ++i) numbers[i] += numbers[i - 1];
            return 0;
        },
        array);
    EXPECT_EQ(party.wait(), 0);
    EXPECT_EQ(std::vector<int>(array.begin(), array.end()), expected);
    std::ranges::copy(std::vector{1, 2, 3}, array.span().subspan(4, 3).begin());
    EXPECT_EQ(array[5], 2);
}

// cpython: _TestArray.test_array_from_size
TEST(Array, IsZeroedAlsoWhenMemoryIsRecycled) {
    for (int round = 0; round < 3; ++round) {
        Array<double> array(1000);
        for (double element : array) EXPECT_EQ(element, 0.0);
        std::ranges::fill(array, 3.5);
    }
}

TEST(Array, IsAlignedAndMadeFromRanges) {
    Array<char> bytes(3);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64, 0U);
    Array copied(std::vector{1.5, 2.5});
    EXPECT_EQ(copied[1], 2.5);
    EXPECT_EQ(Array<int>(0).size(), 0U);
    Array<long> views(std::views::iota(1, 5));
    EXPECT_EQ(views[3], 4);
    auto same = copied;
    same[0] = 9;
    EXPECT_EQ(copied[0], 9);
}

TEST(Array, LargerThanTheMemoryIsATypedErrorAndNoCrash) {
    EXPECT_THROW(Array<double>(std::size_t(1) << 40), SystemError);
    EXPECT_THROW(Array<double>(static_cast<std::size_t>(-1)), SystemError);
    try {
        Array<double> array(std::size_t(1) << 40);
        FAIL();
    } catch (const SystemError& error) {
        EXPECT_EQ(error.code().value(), ENOMEM);
        EXPECT_THAT(std::string(error.what()), testing::HasSubstr("8 TiB"));
    }
}

// cpython: _TestArray.test_getobj_getlock_obj
TEST(Array, LockExcludesAndPassesOnWhenItsOwnerDies) {
    Array<int> array(2);
    {
        test::Child child([&] {
            for (int i = 0; i < 10000; ++i) {
                auto guard = array.lock();
                guard[0] += 1;
            }
            return 0;
        });
        for (int i = 0; i < 10000; ++i) {
            auto guard = array.lock();
            array[0] += 1;
        }
        EXPECT_EQ(child.wait(), 0);
    }
    EXPECT_EQ(array[0], 20000);
    test::Child child([&] {
        auto guard = array.lock();
        ::raise(SIGKILL);
        return 0;
    });
    EXPECT_EQ(child.wait(), -SIGKILL);
    EXPECT_TRUE(array.lock().recovered());
    EXPECT_FALSE(array.lock().recovered());
}

MP_EVERY_METHOD(SharedValues);

}  // namespace
}  // namespace mp
