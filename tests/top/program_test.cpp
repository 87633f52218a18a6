// mp-top beside pools that run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <multiprocessing/multiprocessing.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "pool/pool_fixture.hpp"
#include "pool/task_under_way.hpp"
#include "support/run_program.hpp"

namespace mp::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using TopProgram = PoolTest;

TEST_F(TopProgram, ShowsWhatAPoolOfAnotherProcessDoes) {
    Pool pool({.workers = 2, .name = "watched"});
    TaskUnderWay task(pool, "a long one");
    const std::string pid = std::to_string(::getpid());
    const auto text = run_program({TOP_PROGRAM, "--once", pid});
    const auto json = run_program({TOP_PROGRAM, "--json", pid});
    task.end();
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_THAT(text.out, HasSubstr(pid + "  pool \"watched\""));
    EXPECT_THAT(text.out, HasSubstr("1 of 2 workers busy"));
    EXPECT_THAT(text.out, HasSubstr("a long one"));
    const Json page = Json::parse(json.out);
    ASSERT_EQ(page.at("pools").size(), 1u);
    EXPECT_EQ(page["pools"][0]["pid"], ::getpid());
    ASSERT_EQ(page["pools"][0]["workers"].size(), 2u);
    EXPECT_GT(page["pools"][0]["workers"][0]["memory"], 0);
    EXPECT_TRUE(page["pools"][0]["workers"][0]["cpu"].is_number());
}

TEST_F(TopProgram, SaysWhenThereIsNothing) {
    const auto text = run_program({TOP_PROGRAM, "--once", std::to_string(::getpid())});
    EXPECT_EQ(text.exit_code, 0);
    EXPECT_EQ(text.out, "no pool is running that you may look at\n");
    EXPECT_EQ(run_program({TOP_PROGRAM, "--json", std::to_string(::getpid())}).out, "{\n  \"pools\": []\n}\n");
}

TEST_F(TopProgram, RefusesBadInputWithCodeTwo) {
    const auto result = run_program({TOP_PROGRAM, "--delay", "never"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, testing::StartsWith("mp-top: "));
}

}  // namespace
}  // namespace mp::test
