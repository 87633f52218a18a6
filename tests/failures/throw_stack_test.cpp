#include "os/throw_stack.hpp"

#include <stdexcept>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using testing::HasSubstr;

namespace throwing {

[[gnu::noinline]] void read_header(int depth) {
    if (depth > 0)
        read_header(depth - 1);
    else
        throw std::invalid_argument("bad header");
    asm volatile("");
}
[[gnu::noinline]] void wrap() {
    try {
        read_header(0);
    } catch (...) {
        std::throw_with_nested(std::runtime_error("cannot parse"));
    }
}
[[gnu::noinline]] void rethrow() {
    try {
        read_header(1);
    } catch (...) {
        throw;
    }
}
[[gnu::noinline]] int at(const std::vector<int>& values, unsigned index) { return values.at(index) + 1; }

template <class F>
std::exception_ptr thrown_by(F f) {
    try {
        f();
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

mp::Stack stack_of(const std::exception_ptr& exception) {
    return mp::os::make_stack(mp::os::throw_stack(exception));
}

}  // namespace throwing

namespace {

using namespace throwing;

class ThrowStacks : public testing::Test {
  protected:
    void SetUp() override {
        mp::os::enable_throw_stacks();
        if (stack_of(thrown_by([] { read_header(0); })).empty()) GTEST_SKIP() << "another __cxa_throw comes first";
    }
};

TEST_F(ThrowStacks, BeginWithTheFunctionThatThrew) {
    const mp::Stack stack = stack_of(thrown_by([] { read_header(2); }));
    ASSERT_TRUE(stack.top());
    EXPECT_EQ(stack.top()->function, "throwing::read_header");
    EXPECT_THAT(stack.top()->file, HasSubstr("throw_stack_test.cpp"));
    EXPECT_GT(stack.top()->line, 0);
    EXPECT_EQ(stack.frames()[0].function, "throwing::read_header") << stack;
    EXPECT_THAT(stack.to_string(), HasSubstr("TestBody"));
}

TEST_F(ThrowStacks, KeepThePlaceOfAnExceptionThatIsThrownAgain) {
    const auto exception = thrown_by(rethrow);
    EXPECT_EQ(stack_of(exception).top()->function, "throwing::read_header");
    const auto again = thrown_by([&] { std::rethrow_exception(exception); });
    EXPECT_EQ(stack_of(again).top()->function, "throwing::read_header");
}

TEST_F(ThrowStacks, KnowBothPlacesOfANestedException) {
    const auto outer = thrown_by(wrap);
    EXPECT_EQ(stack_of(outer).top()->function, "throwing::wrap") << stack_of(outer);
    const auto inner = thrown_by([&] {
        try {
            std::rethrow_exception(outer);
        } catch (const std::exception& error) {
            std::rethrow_if_nested(error);
        }
    });
    EXPECT_EQ(stack_of(inner).top()->function, "throwing::read_header");
}

TEST_F(ThrowStacks, NameTheProgramsFunctionWhenTheLibraryThrew) {
    const mp::Stack stack = stack_of(thrown_by([] { return at({}, 3); }));
    EXPECT_EQ(stack.top()->function, "throwing::at") << stack;
}

TEST_F(ThrowStacks, ForgetOnlyTheOldestOfManyThrows) {
    std::vector<std::exception_ptr> alive;
    for (int i = 0; i < 40; ++i) alive.push_back(thrown_by([] { read_header(1); }));
    EXPECT_FALSE(stack_of(alive.back()).empty());
    EXPECT_TRUE(stack_of(alive.front()).empty());
}

TEST_F(ThrowStacks, AreEmptyForAnExceptionOfAnotherThread) {
    std::exception_ptr exception;
    std::thread([&] { exception = thrown_by([] { read_header(1); }); }).join();
    EXPECT_TRUE(stack_of(exception).empty());
    EXPECT_TRUE(stack_of(nullptr).empty());
}

}  // namespace
