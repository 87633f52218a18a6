// What is shown: progress line, report, chart, picture, JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "primes/chart.hpp"
#include "primes/json.hpp"
#include "primes/number.hpp"
#include "primes/progress.hpp"
#include "primes/report.hpp"
#include "primes/svg.hpp"

namespace {

using primes::Job;
using primes::Result;
using testing::HasSubstr;
using testing::Not;

Result halves() {
    Result result(Job{.start = 1, .end = 80000, .workers = 2, .parts = 2}, "pool");
    result.add({{1, 40000, 0}, 4203, 101, 1.0});
    result.add({{40001, 80000, 1}, 3634, 102, 3.0});
    result.seconds = 3.5;
    return result;
}

TEST(ProgressLine, ShowsTheShareTheTimeLeftAndTheCount) {
    EXPECT_EQ(primes::progress_line(0.5, 12, 4203, 80),
              "[####################                    ]  50 %  ETA 0:12  4203 primes so far");
}

TEST(ProgressLine, FitsIntoAnyTerminal) {
    for (unsigned columns = 0; columns < 200; ++columns)
        for (const double fraction : {-1.0, 0.0, 0.33, 1.0, 2.0, std::numeric_limits<double>::quiet_NaN()})
            EXPECT_LE(primes::progress_line(fraction, 1e6, 123456789, columns).size(), columns);
}

TEST(ProgressLine, DoesNotGuessBeforeTheFirstResult) {
    EXPECT_THAT(primes::progress_line(0, 12, 0, 80), HasSubstr("ETA -:--"));
}

TEST(DurationText, IsAClock) {
    EXPECT_EQ(primes::duration_text(0), "0:00");
    EXPECT_EQ(primes::duration_text(6.2), "0:07");
    EXPECT_EQ(primes::duration_text(725), "12:05");
    EXPECT_EQ(primes::duration_text(3 * 3600), "3:00:00");
    EXPECT_EQ(primes::duration_text(2 * 86400 + 3 * 3600), "2 d 03:00");
    EXPECT_EQ(primes::duration_text(1e30), "for ever");
    EXPECT_EQ(primes::duration_text(-1), "0:00");
}

TEST(Result, AddsUpBlocksByWorkerAndByPart) {
    Result result = halves();
    result.add({{5, 5, 0}, 1, 101, 0.5});
    EXPECT_EQ(result.count, 7838u);
    EXPECT_EQ(result.parts, (std::vector<std::uint64_t>{4204, 3634}));
    ASSERT_EQ(result.workers.size(), 2u);
    EXPECT_EQ(result.workers[0].tasks, 2u);
    EXPECT_DOUBLE_EQ(result.workers[0].busy_seconds, 1.5);
}

TEST(ReportText, BeginsWithTheCountAndHasALineForEachWorker) {
    Result result = halves();
    result.events.push_back("worker 101 was killed");
    const std::string text = primes::report_text(result);
    EXPECT_EQ(text.rfind("7837 primes from 1 to 80000", 0), 0u);
    EXPECT_THAT(text, HasSubstr("101"));
    EXPECT_THAT(text, HasSubstr("25.0 %"));
    EXPECT_THAT(text, HasSubstr("75.0 %"));
    EXPECT_THAT(text, HasSubstr("wall time 3.500 s"));
    EXPECT_THAT(text, HasSubstr("worker 101 was killed\n"));
    EXPECT_THAT(text, Not(HasSubstr("partial")));
}

TEST(ReportText, SaysWhenTheCountIsPartial) {
    Result result = halves();
    result.partial = true;
    EXPECT_THAT(primes::report_text(result), HasSubstr("partial count: 7837"));
}

TEST(ReportText, NamesTheRangeOfAWorkerThatHadOne) {
    Result result = halves();
    result.worker(101).range = {1, 40000, 0};
    EXPECT_THAT(primes::report_text(result), HasSubstr("1 to 40000"));
}

TEST(ComparisonText, GivesSpeedUpAndEfficiencyOverTheFirst) {
    Result serial(Job{.start = 1, .end = 80000}, "serial"), pool = halves();
    serial.seconds = 6.3;
    const std::string text = primes::comparison_text({serial, pool});
    EXPECT_THAT(text, HasSubstr("1.80x"));
    EXPECT_THAT(text, HasSubstr("90.0 %"));
    EXPECT_THAT(text, HasSubstr("4203 3634"));
}

TEST(ChartText, HasABarForEachPart) {
    const std::string text = primes::chart_text(halves(), 60, false);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
    EXPECT_THAT(text, HasSubstr("    1 - 40000    4203   10.51 %  ####"));
    EXPECT_THAT(text, HasSubstr("40001 - 80000    3634    9.09 %  ####"));
}

TEST(ChartText, StaysWithinTheTerminal) {
    std::istringstream lines(primes::chart_text(halves(), 60, false));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 60u);
}

TEST(ChartText, OfNoPrimesAtAllHasNoBars) {
    const Result result(Job{.start = 24, .end = 27, .parts = 2}, "serial");
    EXPECT_THAT(primes::chart_text(result, 60, false), Not(HasSubstr("#")));
}

TEST(SvgText, HasABarForEachPartAndATitle) {
    const std::string text = primes::svg_text(halves());
    EXPECT_EQ(text.rfind("<svg xmlns=", 0), 0u);
    EXPECT_THAT(text, HasSubstr("7837 primes from 1 to 80000"));
    EXPECT_THAT(text, HasSubstr("<title>1 to 40000: 4203 primes</title>"));
    EXPECT_THAT(text, HasSubstr("<title>40001 to 80000: 3634 primes</title>"));
    EXPECT_THAT(text, HasSubstr("</svg>\n"));
    EXPECT_THAT(text, Not(HasSubstr("nan")));
}

TEST(SvgText, OfNoPrimesAtAllIsStillAPicture) {
    const std::string text = primes::svg_text(Result(Job{.start = 24, .end = 27, .parts = 2}, "serial"));
    EXPECT_THAT(text, Not(HasSubstr("nan")));
    EXPECT_THAT(text, Not(HasSubstr("inf")));
}

TEST(CheckWritable, RefusesWithTheReasonAndChangesNothing) {
    EXPECT_THROW(primes::check_writable("/nonexistent/x.svg"), primes::BadInput);
    EXPECT_THROW(primes::check_writable("/tmp"), primes::BadInput);
    EXPECT_NO_THROW(primes::check_writable("/tmp/never-written.svg"));
    EXPECT_FALSE(std::filesystem::exists("/tmp/never-written.svg"));
}

TEST(JsonText, IsOneObjectOfTheKnownShape) {
    const auto object = nlohmann::json::parse(primes::json_text(halves(), false));
    EXPECT_EQ(object.size(), 7u);
    EXPECT_EQ(object.at("start"), 1);
    EXPECT_EQ(object.at("end"), 80000);
    EXPECT_EQ(object.at("count"), 7837);
    EXPECT_EQ(object.at("seconds"), 3.5);
    EXPECT_EQ(object.at("method"), "trial");
    EXPECT_EQ(object.at("mode"), "pool");
    const auto& worker = object.at("workers").at(1);
    EXPECT_EQ(worker.size(), 4u);
    EXPECT_EQ(worker.at("pid"), 102);
    EXPECT_EQ(worker.at("count"), 3634);
    EXPECT_EQ(worker.at("tasks"), 1);
    EXPECT_EQ(worker.at("busy_seconds"), 3.0);
}

TEST(JsonText, AddsFrequencyAndTroubleOnlyWhenThereIsSome) {
    Result result = halves();
    result.partial = true;
    result.events = {"x"};
    const auto object = nlohmann::json::parse(primes::json_text(result, true));
    EXPECT_EQ(object.at("partial"), true);
    EXPECT_EQ(object.at("events").at(0), "x");
    EXPECT_EQ(object.at("frequency").at(1).at("count"), 3634);
}

TEST(JsonText, KeepsTheHighestNumberExact) {
    const Result result(Job{.start = 0, .end = std::numeric_limits<std::uint64_t>::max()}, "pool");
    EXPECT_THAT(primes::json_text(result, false), HasSubstr("18446744073709551615"));
}

}  // namespace
