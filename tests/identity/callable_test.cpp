#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <multiprocessing/errors.hpp>
#include <multiprocessing/function.hpp>

namespace {

int twice(int x) noexcept { return 2 * x; }
int thrice(int x) { return 3 * x; }

template <class F>
std::decay_t<F> sent(const F& f) {
    static_assert(mp::portable_callable<F>);
    mp::check_callable<F>();
    mp::serial::Writer writer;
    mp::detail::encode_callable(writer, static_cast<const std::decay_t<F>&>(f));
    mp::serial::Reader reader(writer.bytes(), writer.handles());
    std::decay_t<F> result = mp::detail::decode_callable<std::decay_t<F>>(reader);
    reader.finish();
    return result;
}

struct Prefix {
    std::string text;
    std::vector<int> numbers;
    std::string operator()(int x) const { return text + std::to_string(x + numbers.at(0)); }
};

class Scale {
  public:
    explicit Scale(int factor) : factor_(factor) {}
    Scale() = default;
    int operator()(int x) const { return factor_ * x; }
    template <class Archive>
    void serialize(Archive& ar) {
        ar(factor_);
    }

  private:
    int factor_ = 1;
};

struct Base {
    virtual ~Base() = default;
    virtual int get(int x) const { return x; }
    int plain(int x) const { return x + 1; }
};
struct Derived : Base {
    int get(int x) const override { return -x; }
};

TEST(Callable, FunctionPointersArriveAsTheSameFunction) {
    EXPECT_EQ(sent(&twice)(4), 8);
    EXPECT_EQ(sent(twice)(4), 8);
    EXPECT_EQ(sent(&thrice), &thrice);
    EXPECT_EQ(sent(static_cast<int (*)(int)>(nullptr)), nullptr);
}

TEST(Callable, MemberFunctionPointersArriveVirtualOrNot) {
    const Derived object;
    EXPECT_EQ(std::invoke(sent(&Base::plain), object, 4), 5);
    EXPECT_EQ(std::invoke(sent(&Base::get), object, 4), -4);
    EXPECT_EQ(sent(static_cast<int (Base::*)(int) const>(nullptr)), nullptr);
}

TEST(Callable, LambdasArriveWithTheirPlainCaptures) {
    int k = 7;
    const double d = 0.5;
    std::array<int, 3> numbers{1, 2, 3};
    const auto inner = [k](int x) { return k * x; };
    EXPECT_EQ(sent([](int x) { return x + 1; })(1), 2);
    EXPECT_EQ(sent([k](int x) { return k * x; })(2), 14);
    EXPECT_EQ(sent([=](int x) { return d * x + numbers[2]; })(2), 4.0);
    EXPECT_EQ(sent([inner](int x) { return inner(x) + 1; })(2), 15);
    struct {
        int big[3000] = {};
    } large;
    large.big[2999] = 5;
    EXPECT_EQ(sent([large](int x) { return large.big[2999] + x; })(1), 6);
}

TEST(Callable, LambdasArriveAlsoAfterAnOptionalHeldThem) {
    int k = 7;
    const auto f = [k](int x) { return k * x; };
    using Closure = std::remove_const_t<decltype(f)>;
    static_assert(mp::portable_callable<Closure>);
    const std::optional<Closure> held = f;
    EXPECT_EQ(sent(*held)(2), 14);
    const auto pointer = [p = &k](int x) { return *p * x; };
    static_assert(!std::is_copy_assignable_v<std::remove_const_t<decltype(pointer)>>);
    EXPECT_EQ(sent(mp::trust(pointer))(2), 14);
}

TEST(Callable, MutableLambdasArriveWithTheirState) {
    auto count = [n = 0]() mutable { return ++n; };
    count();
    auto copy = sent(count);
    EXPECT_EQ(copy(), 2);
}

TEST(Callable, FunctionObjectsArriveByTheirCodec) {
    EXPECT_EQ(sent(Prefix{"n", {10}})(5), "n15");
    EXPECT_EQ(sent(Scale(3))(5), 15);
    EXPECT_EQ(sent(std::plus<>{})(2, 3), 5);
}

TEST(Callable, BoundArgumentsComeBeforeTheCallsOwn) {
    const auto join = [](const std::string& a, const std::vector<int>& b, int c) {
        return a + std::to_string(b.at(0)) + std::to_string(c);
    };
    const auto f = sent(mp::bind(join, std::string("a"), std::vector{1}));
    EXPECT_EQ(f(2), "a12");
    EXPECT_EQ(f(3), "a13");
    EXPECT_EQ(sent(mp::bind(&twice, 21))(), 42);
    EXPECT_EQ(sent(mp::bind(mp::bind(join, std::string("b")), std::vector{3}))(4), "b34");
    EXPECT_EQ(sent(mp::bind(&Scale::operator(), Scale(4)))(5), 20);
}

TEST(Callable, BoundArgumentsAreLvaluesThatTheFunctionMayChange) {
    auto f = sent(mp::bind([](auto& all, int x) { all.push_back(x); return all.size(); }, std::vector<int>{}));
    EXPECT_EQ(f(1), 1u);
    EXPECT_EQ(f(1), 2u);
    static_assert(std::is_same_v<std::invoke_result_t<decltype(f)&, int>, std::size_t>);
    static_assert(!std::is_invocable_v<decltype(f)&>);
}

TEST(Callable, BoundArgumentsAreNotCopiedWhenCalled) {
    struct CountsCopies {
        int copies = 0;
        CountsCopies() = default;
        CountsCopies(const CountsCopies& other) : copies(other.copies + 1) {}
        CountsCopies(CountsCopies&&) = default;
    };
    const auto f = mp::bind([](const CountsCopies& c) { return c.copies; }, CountsCopies());
    EXPECT_EQ(f(), 0);
}

TEST(Callable, TrustPassesAPointerAsItIs) {
    static int target = 5;
    const auto f = [p = &target](int x) { return p == &target ? x : -1; };
    static_assert(!mp::portable_callable<decltype(f)>);
    EXPECT_EQ(sent(mp::trust(f))(3), 3);
    EXPECT_EQ(sent(mp::bind(mp::trust(f), 3))(), 3);
}

TEST(Callable, WhatCannotBeSentIsNotPortable) {
    int k = 1;
    const std::string text = "x";
    struct Nested {
        const char* p;
    } nested{nullptr};
    auto by_reference = [&k](int x) { return k * x; };
    auto pointer = [p = &k](int x) { return *p * x; };
    auto deep = [nested](int) { return nested.p != nullptr; };
    auto object = [text](int x) { return text.size() + static_cast<unsigned>(x); };
    auto holds_lambda = [by_reference](int x) { return by_reference(x); };
    static_assert(!mp::portable_callable<decltype(by_reference)>);
    static_assert(!mp::portable_callable<decltype(pointer)>);
    static_assert(!mp::portable_callable<decltype(deep)>);
    static_assert(!mp::portable_callable<decltype(object)>);
    static_assert(!mp::portable_callable<decltype(holds_lambda)>);
    static_assert(!mp::portable_callable<std::function<int(int)>>);
    static_assert(!mp::portable_callable<decltype(mp::bind(by_reference, 1))>);
    static_assert(!mp::portable_callable<decltype(mp::bind(&twice, &k))>);
    static_assert(!mp::portable_callable<decltype(mp::bind(&twice, "text"))>);
}

TEST(Callable, AFunctionPointerMayBeAMemberOfAMessage) {
    struct Job {
        int (*work)(int);
        int argument;
    };
    mp::serial::Writer writer;
    mp::serial::encode(writer, Job{&thrice, 5});
    mp::serial::Reader reader(writer.bytes());
    const Job job = mp::serial::decode<Job>(reader);
    EXPECT_EQ(job.work(job.argument), 15);
}

TEST(Callable, HostileBytesAreRefused) {
    mp::serial::Writer writer;
    mp::detail::encode_callable(writer, &thrice);
    const std::vector<std::byte> good(writer.bytes().begin(), writer.bytes().end());
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (const unsigned flip : {1U, 0x80U, 0xffU}) {
            auto bytes = good;
            bytes[at] ^= static_cast<std::byte>(flip);
            mp::serial::Reader reader(bytes);
            try {
                mp::detail::decode_callable<int (*)(int)>(reader);  // another address in executable code, or
            } catch (const mp::Error&) {
            }
        }
        const std::span<const std::byte> all(good);
        mp::serial::Reader truncated(all.first(at));
        EXPECT_THROW(mp::detail::decode_callable<int (*)(int)>(truncated), mp::Error);
    }
}

}  // namespace
