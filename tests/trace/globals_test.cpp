// MULTIPROCESSING_CHECK=globals: variables that a fresh worker has otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "os/globals.hpp"
#include "pool/globals_check.hpp"
#include "pool/pool_fixture.hpp"

namespace tables {
int filled_in_main = 0;
constexpr int its_line = __LINE__ - 1;
std::map<std::string, int> prices;
std::vector<int> left_alone{1, 2, 3};
const char* some_text = "points into the program";
namespace {
long hidden = 5;
}
int use() {
    return static_cast<int>(hidden) + filled_in_main + static_cast<int>(prices.size() + left_alone.size()) +
           (some_text != nullptr);
}
}  // namespace tables

namespace mp::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class GlobalsCheckTest : public PoolTest {
  protected:
    void SetUp() override {
        PoolTest::SetUp();
        ::setenv("MULTIPROCESSING_CHECK", "globals", 1);
    }
    void TearDown() override {
        ::unsetenv("MULTIPROCESSING_CHECK");
        tables::filled_in_main = 0;
        tables::prices.clear();
        tables::hidden = 5;
        PoolTest::TearDown();
    }
    static std::string said() {
        testing::internal::CaptureStderr();
        {
            Pool pool({.workers = 1, .name = "shop"});
            pool.map([](int) { return tables::use(); }, mp::range(0, 3));
        }
        return testing::internal::GetCapturedStderr();
    }
};

TEST_F(GlobalsCheckTest, NamesWhatMainPutIntoGlobalsWithFileAndLine) {
    tables::filled_in_main = 7;
    tables::prices["tea"] = 3;
    tables::hidden = 6;
    const std::string text = said();
    EXPECT_THAT(text, AllOf(HasSubstr("globals of pool \"shop\""), HasSubstr("tables::filled_in_main"),
                            HasSubstr("tables::prices"), HasSubstr("hidden"), HasSubstr("initializer")));
    EXPECT_THAT(text, AllOf(Not(HasSubstr("left_alone")), Not(HasSubstr("some_text")), Not(HasSubstr("mp::"))));
    const auto variables = os::global_variables();
    const auto lines = os::lines_of(variables);
    for (std::size_t i = 0; i < variables.size(); ++i) {
        if (variables[i].name != "tables::filled_in_main" || lines[i].empty()) continue;  // no libdw on this machine
        EXPECT_EQ(lines[i], "globals_test.cpp:" + std::to_string(tables::its_line));
    }
}

TEST_F(GlobalsCheckTest, LeavesOutWhatIsTheSameAndAddressesThatDiffer) {
    const std::string text = said();
    EXPECT_THAT(text, AllOf(Not(HasSubstr("tables::")), HasSubstr("globals of pool \"shop\"")));
}

TEST_F(GlobalsCheckTest, IsSilentWithoutTheVariable) {
    ::unsetenv("MULTIPROCESSING_CHECK");
    tables::filled_in_main = 7;
    EXPECT_EQ(said(), "");
}

TEST_F(GlobalsCheckTest, SaysWhatItKnowsWhenTheVariableIsMisspelt) {
    ::setenv("MULTIPROCESSING_CHECK", "global", 1);
    EXPECT_THAT(said(), HasSubstr("MULTIPROCESSING_CHECK knows \"globals\", not \"global\""));
}

TEST(GlobalsReport, IsShortHoweverMuchDiffers) {
    std::vector<os::GlobalVariable> variables(500);
    for (auto& variable : variables) variable.name = "variable";
    const std::string text = pool::globals_report("p", variables, std::vector<std::string>(500));
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 30);
    EXPECT_THAT(text, HasSubstr("and 480 more"));
}

TEST(GlobalsContents, OfDifferentSizesAreNotCompared) {
    std::vector<os::GlobalVariable> variables(1);
    variables[0].size = 4;
    const std::vector<std::byte> three(3), four(4);
    EXPECT_TRUE(os::differing(variables, three, four).empty());
    EXPECT_TRUE(os::differing(variables, four, four).empty());
}

}  // namespace
}  // namespace mp::test
