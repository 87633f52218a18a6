// The README's programs print what the README shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/run_program.hpp"
#include "support/sanitizers.hpp"

namespace {

using testing::HasSubstr;

std::string output(const std::string& name) {
    const auto result = mp::test::run_program({README_PROGRAMS + name});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
}

TEST(Readme, FirstProgramPrintsTheSquares) { EXPECT_EQ(output("first"), "1\n4\n9\n"); }

TEST(Readme, CrashCostsOneFileAndNamesFunctionAndLine) {
    MP_SKIP_UNDER_SANITIZERS("a sanitizer takes the signal and exits");
    const std::string text = output("crash");
    EXPECT_THAT(text, HasSubstr("5 rows\n6 rows\nparse(#2, attempt 1): worker "));
    EXPECT_THAT(text, HasSubstr("killed by SIGSEGV at 0x0 in read_table (crash.cpp:12)\n"));
    EXPECT_THAT(text, HasSubstr("\n8 rows\n"));
}

}  // namespace
