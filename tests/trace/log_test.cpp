// What the library says about itself when it is asked to.
#include <multiprocessing/log.hpp>
#include <multiprocessing/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "os/log.hpp"
#include "pool/pool_fixture.hpp"

namespace mp::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Logging : public PoolTest {
  protected:
    void TearDown() override {
        set_log_level(LogLevel::off);
        PoolTest::TearDown();
    }
    template <class Action>
    static std::string said(LogLevel level, Action&& action) {
        set_log_level(level);
        testing::internal::CaptureStderr();
        action();
        return testing::internal::GetCapturedStderr();
    }
};

/// The fields of a line; empty when it cannot be taken apart.
std::map<std::string, std::string> fields(const std::string& line) {
    std::map<std::string, std::string> result;
    std::size_t at = line.find(' ');
    if (line.substr(0, at) != "multiprocessing") return {};
    while (at < line.size()) {
        const std::size_t equals = line.find('=', at);
        if (equals == std::string::npos) return {};
        const std::string key = line.substr(at + 1, equals - at - 1);
        std::string value;
        at = equals + 1;
        if (line[at] == '"') {
            for (++at; at < line.size() && line[at] != '"'; ++at) value += line[at] == '\\' ? line[++at] : line[at];
            ++at;
        } else {
            const std::size_t end = std::min(line.find(' ', at), line.size());
            value = line.substr(at, end - at);
            at = end;
        }
        result[key] = value;
    }
    return result;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

void use_a_pool() {
    Pool pool({.workers = 1, .name = "said \"so\""});
    pool.apply([](int x) { return x; }, 1);
    pool.map([](int x) { return x; }, mp::range(0, 3));
    try {
        pool.apply([] { ::raise(SIGKILL); });
    } catch (const WorkerLost&) {
    }
}

// cpython: _TestLogging.test_enable_logging
TEST_F(Logging, IsSilentUnlessAskedAndFiltersByLevel) {
    EXPECT_THAT(said(LogLevel::off, use_a_pool), IsEmpty());
    const std::string warnings = said(LogLevel::warning, use_a_pool);
    EXPECT_EQ(lines_of(warnings).size(), 1u);
    EXPECT_THAT(warnings, HasSubstr("event=worker.died"));
    const std::string infos = said(LogLevel::info, use_a_pool);
    EXPECT_THAT(infos, HasSubstr("event=pool.started"));
    EXPECT_THAT(infos, HasSubstr("event=worker.ready"));
    EXPECT_THAT(infos, Not(HasSubstr("event=task.")));
    const std::string all = said(LogLevel::debug, use_a_pool);
    for (const char* event :
         {"task.submitted", "task.done", "task.failed", "map.started", "map.ended", "worker.started"})
        EXPECT_THAT(all, HasSubstr(std::string("event=") + event));
}

// cpython: _TestLogging.test_filename
TEST_F(Logging, WritesLinesThatCanBeTakenApart) {
    for (const std::string& line : lines_of(said(LogLevel::debug, use_a_pool))) {
        auto record = fields(line);
        EXPECT_FALSE(record.empty()) << line;
        EXPECT_TRUE(record.contains("time") && record.contains("level") && record.contains("pid") &&
                    record.contains("event"))
            << line;
        EXPECT_THAT(record["source"], testing::MatchesRegex("[a-z_]+\\.cpp:[0-9]+"));
        if (record.contains("pool")) {
            EXPECT_EQ(record["pool"], "said \"so\"");
        }
    }
    const std::string hostile =
        said(LogLevel::info, [] { os::LogLine(LogLevel::info, "x").add("value", "a\nb \x1b[2J \"q\\"); });
    EXPECT_EQ(lines_of(hostile).size(), 1u);
    EXPECT_EQ(hostile.find('\x1b'), std::string::npos);
}

TEST_F(Logging, TellsWhatHoldsWorkersToTheirMemoryLimitOnce) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer needs more memory than any limit");
    const auto lines = lines_of(said(LogLevel::info, [] { Pool({.workers = 2, .memory_limit = 1 << 30}); }));
    const auto tells = [](const std::string& line) { return fields(line)["event"] == "pool.memory_limited"; };
    ASSERT_EQ(std::ranges::count_if(lines, tells), 1);
    auto record = fields(*std::ranges::find_if(lines, tells));
    EXPECT_EQ(record["bytes"], "1073741824");
    EXPECT_THAT(record["by"], testing::AnyOf("a control group", "RLIMIT_DATA"));
}

// cpython: _TestLogging.test_level
TEST_F(Logging, ChildrenHaveTheLevelInForce) {
    for (const LogLevel level : {LogLevel::warning, LogLevel::debug}) {
        set_log_level(level);
        testing::internal::CaptureStderr();
        Pool pool(1);
        EXPECT_EQ(pool.apply([] { return static_cast<int>(log_level()); }), static_cast<int>(level));
        pool.close();
        pool.join();
        testing::internal::GetCapturedStderr();
    }
}

}  // namespace
}  // namespace mp::test
