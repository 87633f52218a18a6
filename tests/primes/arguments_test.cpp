#include "primes/arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace {

using primes::Arguments;
using primes::Exit;
using testing::HasSubstr;

auto parse(const std::string& line) {
    std::istringstream words(line);
    return primes::parse_arguments({std::istream_iterator<std::string>(words), {}}, 3);
}

Arguments accepted(const std::string& line) {
    const auto result = parse(line);
    if (const auto* exit = std::get_if<Exit>(&result)) ADD_FAILURE() << line << ": " << exit->text;
    return std::holds_alternative<Arguments>(result) ? std::get<Arguments>(result) : Arguments();
}

/// The sentence, checked to be one and to come with code 2.
std::string refused(const std::string& line) {
    const auto result = parse(line);
    const auto* exit = std::get_if<Exit>(&result);
    if (!exit) return "accepted";
    EXPECT_EQ(exit->code, 2) << line;
    EXPECT_EQ(exit->text.rfind("primes: ", 0), 0u) << line;
    EXPECT_EQ(exit->text.find('\n'), exit->text.size() - 1) << line;
    return exit->text;
}

TEST(Arguments, OfOneNumberCountFromOne) {
    const auto a = accepted("80000");
    EXPECT_EQ(a.job.start, 1u);
    EXPECT_EQ(a.job.end, 80000u);
    EXPECT_EQ(accepted("0").job.start, 0u);
}

TEST(Arguments, OfTwoNumbersAreTheBounds) {
    const auto a = accepted("1_000 2^64-1");
    EXPECT_EQ(a.job.start, 1000u);
    EXPECT_EQ(a.job.end, 18446744073709551615u);
}

TEST(Arguments, UseAPoolOfAllCpusUnlessToldOtherwise) {
    const auto a = accepted("5");
    EXPECT_EQ(a.mode, primes::Mode::pool);
    EXPECT_EQ(a.job.workers, 3u);
    EXPECT_EQ(a.job.method, primes::Method::trial);
    EXPECT_TRUE(a.progress);
    EXPECT_EQ(a.crash_worker, 0u);
    EXPECT_EQ(a.job.parts, 1u);
}

TEST(Arguments, AreUnderstoodInAnyOrder) {
    const auto a = accepted(
        "--mode own 10 --workers 2 1e3 --method=sieve --json --frequency 4 --svg x.svg --quiet"
        " --crash-worker 2 --start-method spawn");
    EXPECT_EQ(a.mode, primes::Mode::own);
    EXPECT_EQ(a.job.start, 10u);
    EXPECT_EQ(a.job.end, 1000u);
    EXPECT_EQ(a.job.workers, 2u);
    EXPECT_EQ(a.job.method, primes::Method::sieve);
    EXPECT_EQ(a.job.parts, 4u);
    EXPECT_EQ(a.start_method, mp::StartMethod::spawn);
    EXPECT_EQ(a.svg, "x.svg");
    EXPECT_EQ(a.crash_worker, 2u);
    EXPECT_TRUE(a.json && a.quiet && a.frequency);
    EXPECT_FALSE(a.progress);
    EXPECT_FALSE(accepted("5 --no-progress").progress);
}

TEST(Arguments, AreRefusedWithOneSentenceWhenTheyAreWrong) {
    EXPECT_THAT(refused(""), HasSubstr("up to which number?"));
    EXPECT_THAT(refused("abc"), HasSubstr("'abc' is not a number"));
    EXPECT_THAT(refused("10 5"), HasSubstr("END 5 is below START 10"));
    EXPECT_THAT(refused("1 2 3"), HasSubstr("one number or two, not 3"));
    EXPECT_THAT(refused("2^64"), HasSubstr("too large"));
    EXPECT_THAT(refused("-5"), HasSubstr("negative"));
    EXPECT_THAT(refused("1 -5"), HasSubstr("negative"));
    EXPECT_THAT(refused("-- -5"), HasSubstr("negative"));
    EXPECT_THAT(refused("5 --workers 0"), HasSubstr("--workers must be at least 1"));
    EXPECT_THAT(refused("5 --workers -1"), HasSubstr("negative"));
    EXPECT_THAT(refused("5 --workers two"), HasSubstr("--workers: 'two' is not a number"));
    EXPECT_THAT(refused("5 --workers 1e9"), HasSubstr("--workers can be at most"));
    EXPECT_THAT(refused("5 --workers"), HasSubstr("--workers needs a value"));
    EXPECT_THAT(refused("5 --mode fast"), HasSubstr("it is serial, process, shared, pool or own"));
    EXPECT_THAT(refused("5 --method guess"), HasSubstr("it is trial or sieve"));
    EXPECT_THAT(refused("5 --start-method vfork"), HasSubstr("it is forkserver, fork or spawn"));
    EXPECT_THAT(refused("5 --frequency 0"), HasSubstr("--frequency must be at least 1"));
    EXPECT_THAT(refused("5 --frequency 6"), HasSubstr("only 5 numbers"));
    EXPECT_THAT(refused("5 --svg x"), HasSubstr("give both"));
    EXPECT_THAT(refused("5 --crash-worker 4"), HasSubstr("there are only 3"));
    EXPECT_THAT(refused("5 --crash-worker 0"), HasSubstr("at least 1"));
    EXPECT_THAT(refused("5 --crash-worker 1 --mode serial"), HasSubstr("needs a worker"));
    EXPECT_THAT(refused("5 --compare --frequency 2"), HasSubstr("--compare"));
    EXPECT_THAT(refused("5 --bogus"), HasSubstr("no option '--bogus'"));
    EXPECT_THAT(refused("--bogus 5 6 7"), HasSubstr("no option '--bogus'"));
}

TEST(Arguments, AskingForHelpAreNoMistake) {
    const auto result = parse("--help");
    ASSERT_TRUE(std::holds_alternative<Exit>(result));
    EXPECT_EQ(std::get<Exit>(result).code, 0);
    for (const char* option : {"--mode", "--method", "--workers", "--compare", "--frequency", "--svg", "--json",
                               "--quiet", "--no-progress", "--crash-worker", "--start-method"})
        EXPECT_THAT(std::get<Exit>(result).text, HasSubstr(option));
}

}  // namespace
