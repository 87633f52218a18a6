// What a task throws, as its caller finds it, by every engine. What becomes of each type is tests/failures.
#include <stdexcept>
#include <string>
#include <vector>

#include <multiprocessing/register_exception.hpp>

#include "pool_fixture.hpp"

namespace exceptions {

struct ParseError : std::runtime_error {
    ParseError() : std::runtime_error("") {}
    ParseError(const std::string& text, int given_line) : std::runtime_error(text), line(given_line) {}
    int line = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(line);
    }
};
struct CannotBeCopied : std::runtime_error {
    explicit CannotBeCopied(const char* text) : std::runtime_error(text) {}
    CannotBeCopied(const CannotBeCopied& other) : std::runtime_error(other) { throw std::logic_error("copied"); }
};
struct Odd {};

const bool registered = mp::register_exception<ParseError>();

[[gnu::noinline]] void throw_here(const char* text) { throw std::out_of_range(text); }
[[gnu::noinline]] void throw_own_here(int line) { throw ParseError("unexpected }", line); }

}  // namespace exceptions

namespace {

using namespace mp::test;
using mp::Pool;

using PoolException = PoolByEveryEngine;
MP_EVERY_ENGINE(PoolException);

TEST_P(PoolException, SaysWhereItWasThrown) {
    MP_SKIP_UNLESS(has_processes);
    MP_SKIP_UNDER_SANITIZERS("a sanitizer's own __cxa_throw comes first");
    Pool pool(options(1));
    const auto plain = pool.submit([] { exceptions::throw_here("far"); }).outcome();
    ASSERT_TRUE(plain.error().remote());
    EXPECT_THAT(plain.error().remote()->stack().to_string(), ::testing::HasSubstr("throw_here"));
    const auto own = pool.map_outcomes([](int x) { return exceptions::throw_own_here(x), x; }, mp::range(3));
    for (const auto& outcome : own) {
        ASSERT_TRUE(outcome.error().remote());
        EXPECT_THAT(outcome.error().remote()->stack().to_string(), ::testing::HasSubstr("throw_own_here"));
    }
}

TEST_P(PoolException, OfARegisteredTypeBringsItsMembers) {
    Pool pool(options());
    const auto outcomes = pool.map_outcomes([](int x) { return exceptions::throw_own_here(x), x; }, mp::range(50));
    for (int i = 0; i < 50; ++i) {
        const auto* error = outcomes[static_cast<std::size_t>(i)].error().as<exceptions::ParseError>();
        ASSERT_TRUE(error);
        EXPECT_EQ(error->line, i);
        EXPECT_STREQ(error->what(), "unexpected }");
    }
}

TEST_P(PoolException, KeepsAllThatItWasThrownOnTopOf) {
    Pool pool(options(1));
    struct Tower {
        static void build(int floors) {
            if (floors == 0) throw std::out_of_range("floor 0");
            try {
                build(floors - 1);
            } catch (...) {
                std::throw_with_nested(std::runtime_error("floor " + std::to_string(floors)));
            }
        }
    };
    const auto outcome = pool.submit([] { Tower::build(5); }).outcome();
    mp::Failure failure = outcome.error();
    for (int floor = 5; floor > 0; --floor) {
        EXPECT_EQ(std::string(failure.what()), "floor " + std::to_string(floor));
        ASSERT_TRUE(failure.as<std::runtime_error>());
        ASSERT_TRUE(failure.remote());
        ASSERT_TRUE(failure.remote()->nested());
        failure = mp::Failure(failure.remote()->nested());
    }
    EXPECT_TRUE(failure.as<std::out_of_range>());
    EXPECT_EQ(failure.remote()->nested(), nullptr);
}

// cpython: ExecutorTest: falsey exception objects still count as failures
TEST_P(PoolException, ThatIsNoStandardOneTellsTypeAndValue) {
    Pool pool(options());
    const auto throws = [](int x) -> int {
        if (x == 0) throw 42;
        if (x == 1) throw std::string("text");
        if (x == 2) throw exceptions::Odd();
        if (x == 3) throw 0;
        throw "literal";
    };
    const std::vector<std::string> expected{"int: 42", "std::string: text", "exceptions::Odd", "int: 0", "char const*: literal"};
    const auto outcomes = pool.map_outcomes(throws, mp::range(5));
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_TRUE(outcomes[i].error().as<mp::TaskError>());
        EXPECT_EQ(outcomes[i].error().what(), expected[i]);
        const auto alone = pool.submit(throws, static_cast<int>(i)).outcome();
        EXPECT_EQ(alone.error().what(), expected[i]);
    }
}

TEST_P(PoolException, WhoseCopyThrowsArrivesAllTheSame) {
    Pool pool(options(1));
    const auto task = [] { throw exceptions::CannotBeCopied("original"); };
    EXPECT_EQ(error_of<std::runtime_error>([&] { pool.apply(task); }), "original");
    EXPECT_EQ(pool.submit(task).outcome().error().remote()->type_name(), "exceptions::CannotBeCopied");
    EXPECT_EQ(pool.apply([] { return 3; }), 3);
}

TEST_P(PoolException, OfTheInitializerIsTheCauseThatThePoolIsBrokenFor) {
    auto given = options();
    given.initializer = [] { exceptions::throw_own_here(7); };
    Pool pool(given);
    EXPECT_THAT(error_of<mp::PoolBroken>([&] { pool.apply([] {}); }), ::testing::HasSubstr("unexpected }"));
    given.initializer = [] { throw 42; };
    Pool other(given);
    EXPECT_THAT(error_of<mp::PoolBroken>([&] { other.map([](int x) { return x; }, mp::range(3)); }),
                ::testing::HasSubstr("int: 42"));
}

}  // namespace
