#include "primes/number.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using primes::BadInput;
using primes::parse_number;
using testing::HasSubstr;

std::string complaint(std::string_view text) {
    try {
        return "accepted as " + std::to_string(parse_number(text));
    } catch (const BadInput& error) {
        return error.what();
    }
}

TEST(ParseNumber, ReadsDigits) {
    EXPECT_EQ(parse_number("0"), 0u);
    EXPECT_EQ(parse_number("80000"), 80000u);
    EXPECT_EQ(parse_number("007"), 7u);
    EXPECT_EQ(parse_number("18446744073709551615"), 18446744073709551615u);
}

TEST(ParseNumber, ReadsDigitsInGroups) {
    EXPECT_EQ(parse_number("1_000_000"), 1000000u);
    EXPECT_EQ(parse_number("1_0"), 10u);
}

TEST(ParseNumber, ReadsPowersOfTen) {
    EXPECT_EQ(parse_number("1e9"), 1000000000u);
    EXPECT_EQ(parse_number("1E+3"), 1000u);
    EXPECT_EQ(parse_number("1.5e6"), 1500000u);
    EXPECT_EQ(parse_number("1.50e1"), 15u);
    EXPECT_EQ(parse_number("0e999999999"), 0u);
    EXPECT_EQ(parse_number("1e9-1"), 999999999u);
}

TEST(ParseNumber, ReadsPowers) {
    EXPECT_EQ(parse_number("2^20"), 1048576u);
    EXPECT_EQ(parse_number("2^64-1"), 18446744073709551615u);
    EXPECT_EQ(parse_number("10^3+7"), 1007u);
    EXPECT_EQ(parse_number("0^0"), 1u);
    EXPECT_EQ(parse_number("0^5"), 0u);
    EXPECT_EQ(parse_number("1^99999999999"), 1u);
}

TEST(ParseNumber, RefusesWhatDoesNotFitIn64Bits) {
    for (const char* text : {"18446744073709551616", "2^64", "2^65-1", "1e20", "1e999999999999", "99999999999999999999",
                             "18446744073709551616^2", "2^64+1", "4294967296^2", "3^18446744073709551615", "1.8e20"})
        EXPECT_THAT(complaint(text), HasSubstr("is too large")) << text;
}

TEST(ParseNumber, RefusesNegativeNumbers) {
    EXPECT_THAT(complaint("-5"), HasSubstr("is negative"));
    EXPECT_THAT(complaint("2^3-9"), HasSubstr("is negative"));
}

TEST(ParseNumber, RefusesFractions) { EXPECT_THAT(complaint("1.55e1"), HasSubstr("is not a whole number")); }

TEST(ParseNumber, RefusesEverythingElse) {
    for (const char* text :
         {"",   " ",  "abc",  "12x",     "1__0",  "_1",    "1_",    "1e", "e5", "2^",  "^2",  "1.5", "1.e3",
          "+5", "5 ", "0x10", "1-80000", "1,000", "1e9e9", "2^2^2", "--", "-",  "inf", "nan", "\xff"})
        EXPECT_THAT(complaint(text), HasSubstr("is not a number")) << text;
}

}  // namespace
