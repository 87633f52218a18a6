// What arrives in a process: values of many kinds, large ones, descriptors; and what cannot travel.
#include <multiprocessing/sharedctypes.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <map>
#include <thread>
#include <variant>

#include <gmock/gmock.h>

#include "process/mailbox.hpp"

namespace {

using mp::Process;
using mp::test::ByMethod;
using mp::test::Mailbox;
using mp::test::say;
using ::testing::HasSubstr;

class ProcessArguments : public ByMethod {};
MP_EVERY_START_METHOD(ProcessArguments);
using ProcessTargets = mp::test::LeakCheck;

struct Point {
    int x;
    double y;
    std::string label;
};

void check_kinds(mp::serial::Handle to, bool flag, char letter, std::int64_t number, double real, std::string text,
                 std::vector<std::string> list, std::map<std::string, int> table, std::optional<int> none,
                 std::variant<int, std::string> either, Point point, std::unique_ptr<int> owned,
                 std::chrono::milliseconds time) {
    const bool good = flag && letter == 'x' && number == -(std::int64_t(1) << 60) && real == 0.1 &&
                      text == std::string("nul\0inside", 10) && list == std::vector<std::string>{"", "b"} &&
                      table == std::map<std::string, int>{{"a", 1}, {"b", 2}} && !none &&
                      std::get<std::string>(either) == "s" && point.x == 1 && point.y == 2.5 && point.label == "p" &&
                      owned && *owned == 7 && time.count() == 12;
    say(to, good ? "all arrived" : "something differs");
}

// cpython: _TestProcess.test_args_argument
// As strings they can travel, so that no fork is needed, which would be refused here.
TEST_F(ProcessTargets, TakesATextLiteralAsAString) {
    std::promise<void> over;
    std::thread another([wait = over.get_future()] { wait.wait(); });
    Process process([](const std::string& text) { std::exit(text == "a literal" ? 0 : 1); }, "a literal");
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    over.set_value();
    another.join();
}

TEST_F(ProcessTargets, KeepsAPointerToTextThatTheTargetWants) {
    Process process([](const char* text) { std::exit(std::string_view(text) == "a literal" ? 0 : 1); }, "a literal");
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(ProcessArguments, OfManyKindsArriveUnchanged) {
    Mailbox mailbox;
    Process process(options(), check_kinds, mailbox.address(), true, 'x', -(std::int64_t(1) << 60), 0.1,
                    std::string("nul\0inside", 10), std::vector<std::string>{"", "b"},
                    std::map<std::string, int>{{"a", 1}, {"b", 2}}, std::optional<int>(),
                    std::variant<int, std::string>("s"), Point{1, 2.5, "p"}, std::make_unique<int>(7),
                    std::chrono::milliseconds(12));
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(mailbox.line(), "all arrived");
}

void measure(mp::serial::Handle to, std::string text) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < text.size(); i += 4096) sum += static_cast<unsigned char>(text[i]);
    say(to, std::to_string(text.size()) + ' ' + std::to_string(sum));
}

TEST_P(ProcessArguments, MayBeHuge) {
    Mailbox mailbox;
    for (const std::size_t size : {32U << 10, (32U << 10) - 200, 64U << 20}) {
        Process process(options(), measure, mailbox.address(), std::string(size, '\1'));
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), 0);
        EXPECT_EQ(mailbox.line(), std::to_string(size) + ' ' + std::to_string((size + 4095) / 4096));
    }
}

void write_through_all(std::vector<mp::serial::Handle> handles) {
    for (std::size_t i = 0; i < handles.size(); ++i) say(handles[i], std::to_string(i));
}

// cpython: _TestConnection.test_fd_transfer, _TestConnection.test_large_fd_transfer (descriptors above 256)
TEST_P(ProcessArguments, MayHoldHundredsOfDescriptors) {
    Mailbox mailbox;
    for (const std::size_t count : {1, 194, 200, 201, 500}) {
        std::vector<mp::serial::Handle> handles;
        for (std::size_t i = 0; i < count; ++i)
            handles.push_back(mp::serial::Handle::duplicate(mailbox.address().fd()));
        Process process(options(), write_through_all, std::move(handles));
        process.start();
        process.join();
        ASSERT_EQ(process.exitcode(), 0) << count;
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(mailbox.line(), std::to_string(i));
    }
}

// That each is where it was put: each names another file.
void tell_sizes(std::vector<mp::serial::Handle> files, mp::serial::Handle to) {
    for (const auto& file : files) {
        struct stat status{};
        ::fstat(file.fd(), &status);
        say(to, std::to_string(status.st_size));
    }
}

TEST_P(ProcessArguments, KeepTheOrderOfHundredsOfDescriptors) {
    Mailbox mailbox;
    for (const std::size_t count : {3, 199, 200, 201, 410}) {
        std::vector<mp::serial::Handle> files;
        for (std::size_t i = 0; i < count; ++i) {
            files.emplace_back(::memfd_create("numbered", MFD_CLOEXEC));
            ASSERT_EQ(::ftruncate(files.back().fd(), static_cast<off_t>(i)), 0);
        }
        Process process(options(), tell_sizes, std::move(files), mailbox.address());
        process.start();
        process.join();
        ASSERT_EQ(process.exitcode(), 0) << count;
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(mailbox.line(), std::to_string(i)) << "of " << count;
    }
}

void count_up(mp::Value<int> total, mp::Array<int> cells, int index) {
    for (int i = 0; i < 1000; ++i) ++total;
    cells[static_cast<std::size_t>(index)] = index + 1;
}

TEST_P(ProcessArguments, MayBeSharedVariables) {
    mp::Value<int> total(0);
    mp::Array<int> cells(4);
    {
        std::vector<Process> processes;
        for (int i = 0; i < 4; ++i) processes.emplace_back(options(), count_up, total, cells, i);
        for (auto& process : processes) process.start();
    }
    EXPECT_EQ(total.load(), 4000);
    EXPECT_THAT(cells.span(), testing::ElementsAre(1, 2, 3, 4));
}

struct Adder {
    int base = 0;
    std::vector<int> more;
    void operator()(mp::Value<int> to) const {
        int sum = base;
        for (const int value : more) sum += value;
        to.store(sum);
    }
};

TEST_P(ProcessArguments, ATargetMayBeALambdaOrAFunctionObject) {
    mp::Value<int> result(0);
    {
        Process process(options(), Adder{1, {2, 3}}, result);
        process.start();
    }
    EXPECT_EQ(result.load(), 6);
    const int factor = 7;
    {
        Process process(options(), [factor](mp::Value<int> to, int x) { to.store(factor * x); }, result, 6);
        process.start();
    }
    EXPECT_EQ(result.load(), 42);
}

struct FailsToEncode {
    template <class Archive>
    void serialize(Archive&) {
        if (broken) throw std::runtime_error("cannot be written today");
    }
    bool broken = true;
};
void take(FailsToEncode) {}

TEST_F(ProcessTargets, AnArgumentThatCannotBeWrittenIsTheCallersErrorAndStartsNothing) {
    Process process({.start_method = mp::StartMethod::forkserver}, take, FailsToEncode{});
    EXPECT_THROW(process.start(), std::exception);
    EXPECT_FALSE(process.is_alive());
    EXPECT_EQ(process.pid(), std::nullopt);
}

struct FailsToDecode {
    int value = 1;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
        if (!may_be_read) throw std::runtime_error("cannot be read here");
    }
    static inline bool may_be_read = false;  // as it is in a clean process
};
void take_it(FailsToDecode) {}

TEST_F(ProcessTargets, AnArgumentThatCannotBeReadEndsTheChildWithOneAndTheReason) {
    FailsToDecode::may_be_read = true;
    Process process({.start_method = mp::StartMethod::forkserver}, take_it, FailsToDecode{});
    testing::internal::CaptureStderr();
    process.start();
    process.join();
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("cannot be read here"));
    EXPECT_EQ(process.exitcode(), 1);
    ASSERT_TRUE(process.error());
    EXPECT_THAT(process.error()->what(), HasSubstr("cannot be read here"));
}

TEST_F(ProcessTargets, AClosureOverReferencesIsRefusedByTheMethodsThatCannotRunIt) {
    int local = 1;
    for (const auto method : {mp::StartMethod::forkserver, mp::StartMethod::spawn}) {
        Process process({.name = "closure", .start_method = method}, [&local] { ++local; });
        try {
            process.start();
            ADD_FAILURE() << method;
        } catch (const mp::Error& error) {
            EXPECT_THAT(error.what(), HasSubstr("\"closure\""));
            EXPECT_THAT(error.what(), HasSubstr(std::string(to_string(method))));
            EXPECT_THAT(error.what(), HasSubstr("StartMethod::fork"));
        }
    }
}

// cpython: _TestProcess.test_lose_target_ref
TEST_P(ProcessArguments, AreNotKeptAliveByTheParentAfterStart) {
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = held;
    Process process(options(), [](std::shared_ptr<int>) {}, std::move(held));
    process.start();
    EXPECT_TRUE(watch.expired());
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
}

}  // namespace
