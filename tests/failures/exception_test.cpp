// What a worker throws, taken apart and made again: here within one process.
#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <variant>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <multiprocessing/outcome.hpp>
#include <multiprocessing/register_exception.hpp>
#include <multiprocessing/remote_error.hpp>

#include "os/throw_stack.hpp"
#include "serial/exception_record.hpp"

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

namespace app {

struct ParseError : std::runtime_error {
    ParseError() : ParseError("", 0) {}
    ParseError(const std::string& text, int at) : std::runtime_error(text), line(at) {}
    template <class Archive>
    void serialize(Archive& ar) {
        ar(line);
    }
    int line;
};
struct HeaderError : ParseError {
    using ParseError::ParseError;
};
struct TextError : std::logic_error {
    using std::logic_error::logic_error;
};
struct Sealed final : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct Plain {
    int x = 0;
    std::string text;
};
struct Unregistered : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};
struct Stranger : std::exception {
    const char* what() const noexcept override { return "a stranger's words"; }
};
struct NoException {};
struct Failing : std::runtime_error {
    Failing() : std::runtime_error("failing") {}
    template <class Archive>
    void serialize(Archive&) {
        throw std::runtime_error("cannot be packed");
    }
};

const bool registered = mp::register_exception<ParseError>() && mp::register_exception<TextError>() &&
                        mp::register_exception<Sealed>() && mp::register_exception<Plain>() &&
                        mp::register_exception<Failing>();

}  // namespace app

namespace {

const mp::TaskInfo task{.function = "parse", .index = 7, .label = "c.pdf", .attempt = 2};

std::exception_ptr through_the_wire(const std::exception_ptr& exception) {
    const auto bytes = mp::serial::encode_exception(mp::serial::capture_exception(exception));
    return mp::serial::to_exception(mp::serial::decode_exception(bytes), task);
}

template <class F>
mp::Failure arrives(F thrower) {
    try {
        thrower();
    } catch (...) {
        return mp::Failure(through_the_wire(std::current_exception()));
    }
    return {};
}

/// Thrown as T, it is caught as T, as std::exception and as RemoteError, and says the same.
template <class T>
void expect_same(const T& thrown) {
    const mp::Failure failure = arrives([&] { throw thrown; });
    const T* own = failure.as<T>();
    ASSERT_TRUE(own) << typeid(T).name();
    EXPECT_STREQ(own->what(), thrown.what());
    const auto* general = failure.as<std::exception>();
    ASSERT_TRUE(general) << typeid(T).name();
    EXPECT_STREQ(general->what(), thrown.what());
    const mp::RemoteError* remote = failure.remote();
    ASSERT_TRUE(remote) << typeid(T).name();
    EXPECT_EQ(remote->message(), thrown.what());
    EXPECT_EQ(remote->task_index(), 7u);
    EXPECT_EQ(remote->label(), "c.pdf");
    EXPECT_EQ(remote->attempt(), 2);
    EXPECT_EQ(remote->pid(), ::getpid());
}

TEST(RemoteException, OfEveryStandardTypeIsCaughtAsItselfAndAsRemoteError) {
    expect_same(std::logic_error("a"));
    expect_same(std::invalid_argument("bad header"));
    expect_same(std::domain_error("c"));
    expect_same(std::length_error("d"));
    expect_same(std::out_of_range("e"));
    expect_same(std::runtime_error(""));
    expect_same(std::range_error("f"));
    expect_same(std::overflow_error("g"));
    expect_same(std::underflow_error("h"));
    expect_same(std::bad_alloc());
    expect_same(std::bad_array_new_length());
    expect_same(std::bad_cast());
    expect_same(std::bad_any_cast());
    expect_same(std::bad_typeid());
    expect_same(std::bad_exception());
    expect_same(std::bad_function_call());
    expect_same(std::bad_weak_ptr());
    expect_same(std::bad_optional_access());
    expect_same(std::bad_variant_access());
    expect_same(std::future_error(std::future_errc::broken_promise));
    expect_same(std::regex_error(std::regex_constants::error_brack));
    expect_same(std::ios_base::failure("i", std::io_errc::stream));
    expect_same(std::system_error(ENOENT, std::system_category(), "cannot open"));
    expect_same(std::filesystem::filesystem_error("cannot copy", "/from", "/to", std::make_error_code(std::errc::io_error)));
}

TEST(RemoteException, OfTheLibrarysTypesIsCaughtAsItself) {
    expect_same(mp::Error("a"));
    expect_same(mp::SystemError(std::make_error_code(std::errc::no_space_on_device), "cannot write"));
    expect_same(mp::SerializationError("b"));
    expect_same(mp::TaskTimeout(mp::TaskInfo{.function = "inner", .index = 1}, std::chrono::seconds(2), 5));
    expect_same(mp::TaskCancelled(mp::TaskInfo{.function = "inner", .index = 1}));
    expect_same(mp::PoolBroken("c"));
    expect_same(mp::Closed("d"));
    expect_same(mp::UnsafeFork(std::vector<std::string>{"t"}));
    const mp::WorkerLost lost({.pid = 77, .status = mp::ExitStatus(mp::ExitStatus::Signalled{9, false})});
    expect_same(lost);
    const auto failure = arrives([&] { throw lost; });
    EXPECT_EQ(failure.worker_lost()->pid(), 77);
    EXPECT_EQ(failure.worker_lost()->signal(), 9);
}

TEST(RemoteException, KeepsItsErrorCode) {
    const auto system = arrives([] { throw std::system_error(ENOENT, std::system_category(), "cannot open"); });
    EXPECT_EQ(system.as<std::system_error>()->code(), std::error_code(ENOENT, std::system_category()));
    EXPECT_EQ(system.as<std::system_error>()->code(), std::errc::no_such_file_or_directory);
    const auto file = arrives([] {
        throw std::filesystem::filesystem_error("x", "/from", "/to", std::make_error_code(std::errc::io_error));
    });
    EXPECT_EQ(file.as<std::filesystem::filesystem_error>()->path2(), "/to");
    EXPECT_EQ(file.as<std::filesystem::filesystem_error>()->code(), std::errc::io_error);
    const auto future = arrives([] { throw std::future_error(std::future_errc::no_state); });
    EXPECT_EQ(future.as<std::future_error>()->code(), std::future_errc::no_state);
}

TEST(RemoteException, OfAnUnknownTypeArrivesAsItsNearestStandardBase) {
    const auto failure = arrives([] { throw app::Unregistered("bad"); });
    EXPECT_TRUE(failure.as<std::invalid_argument>());
    EXPECT_EQ(failure.remote()->type_name(), "app::Unregistered");
    EXPECT_STREQ(failure.what(), "bad");
    const auto stranger = arrives([] { throw app::Stranger(); });
    EXPECT_TRUE(stranger.as<mp::TaskError>());
    EXPECT_STREQ(stranger.as<std::exception>()->what(), "a stranger's words");
    EXPECT_EQ(stranger.remote()->type_name(), "app::Stranger");
}

TEST(RemoteException, ThatIsNoStandardExceptionTellsTypeAndValue) {
    EXPECT_STREQ(arrives([] { throw 42; }).as<std::exception>()->what(), "int: 42");
    EXPECT_STREQ(arrives([] { throw std::string("text"); }).what(), "std::string: text");
    EXPECT_STREQ(arrives([] { throw "literal"; }).what(), "char const*: literal");
    EXPECT_STREQ(arrives([] { throw static_cast<const char*>(nullptr); }).what(), "char const*: null");
    EXPECT_STREQ(arrives([] { throw 2.5; }).what(), "double: 2.5");
    EXPECT_STREQ(arrives([] { throw app::NoException(); }).what(), "app::NoException");
    EXPECT_TRUE(arrives([] { throw 42; }).remote());
    EXPECT_EQ(arrives([] { throw 42; }).remote()->type_name(), "int");
}

TEST(RemoteException, OfARegisteredTypeBringsItsMembers) {
    const auto failure = arrives([] { throw app::ParseError("unexpected }", 12); });
    ASSERT_TRUE(failure.as<app::ParseError>());
    EXPECT_EQ(failure.as<app::ParseError>()->line, 12);
    EXPECT_STREQ(failure.as<app::ParseError>()->what(), "unexpected }");
    EXPECT_STREQ(failure.as<std::exception>()->what(), "unexpected }");
    EXPECT_EQ(failure.remote()->type_name(), "app::ParseError");
    expect_same(app::TextError("only text"));
}

TEST(RemoteException, DerivedFromARegisteredTypeArrivesAsThat) {
    const auto failure = arrives([] { throw app::HeaderError("h", 3); });
    ASSERT_TRUE(failure.as<app::ParseError>());
    EXPECT_EQ(failure.as<app::ParseError>()->line, 3);
    EXPECT_EQ(failure.remote()->type_name(), "app::HeaderError");
}

TEST(RemoteException, OfARegisteredFinalTypeArrivesAsItselfAlone) {
    const auto failure = arrives([] { throw app::Sealed("sealed"); });
    ASSERT_TRUE(failure.as<app::Sealed>());
    EXPECT_STREQ(failure.what(), "sealed");
    EXPECT_FALSE(failure.remote());
}

TEST(RemoteException, OfARegisteredTypeThatIsNoStandardExceptionArrives) {
    const auto failure = arrives([] { throw app::Plain{4, "four"}; });
    ASSERT_TRUE(failure.as<app::Plain>());
    EXPECT_EQ(failure.as<app::Plain>()->text, "four");
    EXPECT_TRUE(failure.remote());
}

TEST(RemoteException, ThatCannotBePackedArrivesAsItsStandardBase) {
    const auto failure = arrives([] { throw app::Failing(); });
    EXPECT_TRUE(failure.as<std::runtime_error>());
    EXPECT_STREQ(failure.what(), "failing");
}

TEST(RemoteException, KeepsWhatItWasThrownOnTopOf) {
    const auto failure = arrives([] {
        try {
            throw std::out_of_range("innermost");
        } catch (...) {
            try {
                std::throw_with_nested(std::invalid_argument("middle"));
            } catch (...) {
                std::throw_with_nested(std::runtime_error("outer"));
            }
        }
    });
    EXPECT_STREQ(failure.what(), "outer");
    EXPECT_EQ(failure.remote()->message(), "outer");
    const mp::Failure middle(failure.remote()->nested());
    ASSERT_TRUE(middle.as<std::invalid_argument>());
    const mp::Failure inner(middle.remote()->nested());
    ASSERT_TRUE(inner.as<std::out_of_range>());
    EXPECT_EQ(inner.remote()->nested(), nullptr);
    EXPECT_THAT(failure.to_string(), HasSubstr("\n  on top of "));
    // The standard's own way down.
    EXPECT_THROW(std::rethrow_if_nested(*failure.as<std::runtime_error>()), std::invalid_argument);
    EXPECT_NO_THROW(std::rethrow_if_nested(*inner.as<std::exception>()));
}

TEST(RemoteException, PassedOnByAWorkersOwnPoolKeepsItsFirstNames) {
    const auto first = arrives([] { throw app::Unregistered("deep"); });
    const auto second = arrives([&] { first.rethrow(); });
    EXPECT_EQ(second.remote()->type_name(), "app::Unregistered");
    EXPECT_TRUE(second.as<std::invalid_argument>());
    EXPECT_STREQ(second.what(), "deep");
}

TEST(RemoteException, SaysWhereItWasThrown) {
    mp::os::enable_throw_stacks();
    const auto failure = arrives([] { throw std::invalid_argument("bad header"); });
    EXPECT_EQ(failure.remote()->to_string(), "parse(#7 \"c.pdf\", attempt 2): std::invalid_argument in worker " +
                                                 std::to_string(::getpid()) + ": bad header");
    if (failure.remote()->stack().empty()) GTEST_SKIP() << "another __cxa_throw comes first";
    EXPECT_THAT(failure.to_string(), StartsWith(failure.remote()->to_string() + "\n    #0  "));
    EXPECT_THAT(failure.to_string(), HasSubstr("exception_test.cpp:"));
}

TEST(RemoteException, RecordsOfHostileBytesAreRefusedOrBecomeSomeException) {
    std::exception_ptr exception;
    try {
        throw app::ParseError("text", 1);
    } catch (...) {
        exception = std::current_exception();
    }
    const auto good = mp::serial::encode_exception(mp::serial::capture_exception(exception));
    const auto try_bytes = [](std::span<const std::byte> bytes) {
        try {
            const mp::Failure failure(mp::serial::to_exception(mp::serial::decode_exception(bytes), task));
            EXPECT_TRUE(failure.exception());
            static_cast<void>(failure.what());
        } catch (const mp::SerializationError&) {
        }
    };
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_THROW(mp::serial::decode_exception(std::span(good).first(size)), mp::SerializationError) << size;
    std::mt19937 random(1);
    for (int round = 0; round < 5000; ++round) {
        auto bad = good;
        for (int i = 0; i < 3; ++i) bad[random() % bad.size()] = static_cast<std::byte>(random());
        try_bytes(bad);
    }
}

TEST(Outcome, IsAValueOrAnError) {
    const mp::Outcome<int> good(4);
    EXPECT_TRUE(good);
    EXPECT_EQ(good.value(), 4);
    EXPECT_EQ(*good, 4);
    EXPECT_EQ(good.value_or(1), 4);
    EXPECT_THROW(static_cast<void>(good.error()), std::bad_variant_access);

    const mp::Outcome<int> bad(std::make_exception_ptr(std::out_of_range("no such page")));
    EXPECT_FALSE(bad);
    EXPECT_EQ(bad.value_or(1), 1);
    EXPECT_THROW(bad.value(), std::out_of_range);
    EXPECT_STREQ(bad.error().what(), "no such page");
    EXPECT_TRUE(bad.error().as<std::logic_error>());
    EXPECT_FALSE(bad.error().as<std::runtime_error>());
    EXPECT_FALSE(bad.error().worker_lost());
    EXPECT_THROW(bad.error().rethrow(), std::out_of_range);
    EXPECT_THROW(mp::Outcome<int>().value(), mp::PoolBroken);
}

TEST(Outcome, MovesItsValueOut) {
    mp::Outcome<std::unique_ptr<int>> outcome(std::make_unique<int>(3));
    const std::unique_ptr<int> value = *std::move(outcome);
    EXPECT_EQ(*value, 3);
}

TEST(Outcome, OfATaskWithoutResultIsDoneOrAnError) {
    const mp::Outcome<void> good{std::monostate()};
    EXPECT_TRUE(good);
    EXPECT_NO_THROW(good.value());
    const mp::Outcome<void> bad(std::make_exception_ptr(7));
    EXPECT_FALSE(bad);
    EXPECT_THROW(bad.value(), int);
}

TEST(Outcome, PrintsItsErrorAsOneMayReadIt) {
    mp::ExitStatus status(mp::ExitStatus::Signalled{SIGSEGV, false});
    status.set_crash({.signal = SIGSEGV, .address = 0x10});
    const mp::Outcome<int> lost(std::make_exception_ptr(mp::WorkerLost({.task = task, .pid = 8123, .status = status})));
    std::ostringstream out;
    out << lost.error();
    EXPECT_EQ(out.str(), "parse(#7 \"c.pdf\", attempt 2): worker 8123 killed by SIGSEGV at 0x10");
    EXPECT_EQ(lost.error().worker_lost()->address(), 0x10u);
    EXPECT_EQ(mp::Outcome<int>(std::make_exception_ptr(std::runtime_error("x"))).error().to_string(),
              "std::runtime_error: x");
    EXPECT_EQ(mp::Outcome<int>(std::make_exception_ptr(7)).error().to_string(), "an exception of type int");
}

}  // namespace
