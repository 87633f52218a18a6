// What a progress display says, and what it does to the terminal.
#include <multiprocessing/progress.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trace/progress_text.hpp"
#include "trace/screen.hpp"
#include "trace/units.hpp"

namespace mp::trace {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

Progress half_way() {
    Progress progress;
    progress.total = 8000;
    progress.done = 4160;
    progress.failed = 2;
    progress.elapsed = 13s;
    progress.rate = 4100;
    progress.left = 11500ms;
    return progress;
}

TEST(ProgressLine, ShowsBarPercentRateTimeAndFailures) {
    EXPECT_EQ(progress_line(half_way(), 54), "[########         ]  52 %  4.1 k/s  ETA 0:12  2 failed");
}

TEST(ProgressLine, NeverIsWiderThanItsRoom) {
    Progress progress = half_way();
    progress.label = "a label of some length, wider than many terminals";
    for (std::size_t room = 0; room < 200; ++room) {
        EXPECT_LE(columns(progress_line(progress, room)), room);
        for (const auto& line : progress_lines(progress, room, 5)) EXPECT_LE(columns(line), room);
    }
}

TEST(ProgressLine, KeepsThePercentLongest) {
    EXPECT_EQ(progress_line(half_way(), 20), "52 %  4.1 k/s");
    EXPECT_EQ(progress_line(half_way(), 6), "52 %");
}

TEST(ProgressLine, SaysHundredPercentOnlyAtTheEnd) {
    Progress progress = half_way();
    progress.done = 7999;
    EXPECT_THAT(progress_line(progress, 60), testing::HasSubstr(" 99 %"));
    progress.done = 8000;
    EXPECT_THAT(progress_line(progress, 60), testing::HasSubstr("100 %"));
}

TEST(ProgressLine, CountsWhatHasNoTotal) {
    Progress progress = half_way();
    progress.total.reset();
    EXPECT_EQ(progress_line(progress, 60), "4 160 done  4.1 k/s  0:13  2 failed");
}

TEST(ProgressLine, OfMoreDoneThanThereIsStaysFull) {
    Progress progress = half_way();
    progress.done = 9000;
    EXPECT_EQ(progress_line(progress, 50), "[#############] 100 %  4.1 k/s  ETA 0:12  2 failed");
}

TEST(ProgressLines, TellWhatEachWorkerDoes) {
    Progress progress = half_way();
    WorkerStats worker;
    worker.number = 1;
    worker.state = WorkerState::working;
    worker.task = "parse(#7)";
    worker.task_time = 1200ms;
    progress.workers.push_back(worker);
    worker.number = 2;
    worker.state = WorkerState::waiting;
    progress.workers.push_back(worker);
    EXPECT_THAT(progress_lines(progress, 60, 10),
                ElementsAre(testing::_, "   1  working      parse(#7)  1.2 s", "   2  waiting      "));
    progress.workers.resize(12, worker);
    EXPECT_THAT(progress_lines(progress, 60, 4),
                ElementsAre(testing::_, testing::_, "   2  waiting      ", "      and 10 more"));
}

TEST(ProgressSentence, SaysTheSameWithoutABar) {
    EXPECT_EQ(progress_sentence(half_way()), "52 % (4 160 of 8 000), 4.1 k/s, ETA 0:12, 2 failed");
}

TEST(RateMeter, FollowsWhatHappensOfLate) {
    RateMeter meter;
    for (int i = 1; i <= 100; ++i) meter.look(i * 10, i * 0.1);
    EXPECT_NEAR(meter.a_second(), 100, 1);
    for (int i = 1; i <= 300; ++i) meter.look(1000 + i, 10 + i * 0.1);
    EXPECT_NEAR(meter.a_second(), 10, 1);
}

TEST(ProgressOption, IsMadeFromBoolStyleAndFunction) {
    const auto option = [](const ProgressOption& given) { return given; };
    EXPECT_FALSE(option(false));
    EXPECT_FALSE(option({}));
    EXPECT_TRUE(option(true));
    EXPECT_EQ(option(ProgressStyle::workers).style(), ProgressStyle::workers);
    bool called = false;
    const auto function = option([&](const Progress&) { called = true; });
    ASSERT_TRUE(function);
    (*function.function())({});
    EXPECT_TRUE(called);
    static_assert(!std::is_convertible_v<const char*, ProgressOption> && !std::is_convertible_v<int, ProgressOption>);
}

/// A terminal that knows what a Screen uses: carriage return, newline, cursor up, and the two ways of wiping.
class Paper {
  public:
    void write(std::string_view text) {
        while (!text.empty()) {
            if (text.starts_with("\x1b[J")) {
                lines_.resize(row_ + 1);
                lines_[row_].resize(column_);
                text.remove_prefix(3);
            } else if (text.starts_with("\x1b[K")) {
                lines_[row_].resize(column_);
                text.remove_prefix(3);
            } else if (text.starts_with("\x1b[")) {
                row_ -= static_cast<std::size_t>(std::stoul(std::string(text.substr(2))));
                text.remove_prefix(text.find('A') + 1);
            } else {
                put(text.front());
                text.remove_prefix(1);
            }
        }
    }
    const std::vector<std::string>& lines() const { return lines_; }

  private:
    void put(char byte) {
        if (byte == '\r') {
            column_ = 0;
        } else if (byte == '\n') {
            column_ = 0;
            if (++row_ == lines_.size()) lines_.emplace_back();
        } else {
            auto& line = lines_[row_];
            if (line.size() <= column_) line.resize(column_ + 1, ' ');
            line[column_++] = byte;
        }
    }
    std::vector<std::string> lines_{""};
    std::size_t row_ = 0, column_ = 0;
};

class OnScreen : public testing::Test {
  protected:
    Paper paper;
    int writes = 0;
    Screen screen{[this](std::string_view text) {
        ++writes;
        paper.write(text);
    }};
};

TEST_F(OnScreen, ABlockIsRedrawnInPlaceWithOneWrite) {
    auto* block = screen.add();
    screen.show(block, {"[##  ]", "1 working"});
    screen.show(block, {"[### ]", "1 waits"});
    EXPECT_THAT(paper.lines(), ElementsAre("[### ]", "1 waits"));
    EXPECT_EQ(writes, 2);
    screen.show(block, {"[### ]", "1 waits"});
    EXPECT_EQ(writes, 2);
    screen.remove(block, true);
    EXPECT_THAT(paper.lines(), ElementsAre("[### ]", "1 waits", ""));
}

TEST_F(OnScreen, LinesOfTasksStandAboveTheBlock) {
    auto* block = screen.add();
    screen.show(block, {"[##  ]"});
    screen.print([&] { paper.write("hello from a task, longer than the bar\n"); });
    screen.show(block, {"[### ]"});
    EXPECT_THAT(paper.lines(), ElementsAre("hello from a task, longer than the bar", "[### ]"));
    screen.remove(block, false);
    EXPECT_THAT(paper.lines(), ElementsAre("hello from a task, longer than the bar", ""));
}

TEST_F(OnScreen, TwoCallsShareTheBlock) {
    auto* first = screen.add();
    auto* second = screen.add();
    screen.show(first, {"first 10"});
    screen.show(second, {"second"});
    screen.show(first, {"first 9"});
    EXPECT_THAT(paper.lines(), ElementsAre("first 9", "second"));
    screen.show(first, {"first 8", "and more"});
    EXPECT_THAT(paper.lines(), ElementsAre("first 8", "and more", "second"));
    screen.remove(first, true);
    EXPECT_THAT(paper.lines(), ElementsAre("first 8", "and more", "second"));
    screen.remove(second, false);
    EXPECT_THAT(paper.lines(), ElementsAre("first 8", "and more", ""));
}

TEST(Units, AreWrittenAsPeopleDo) {
    EXPECT_EQ(duration_text(7ns), "7 ns");
    EXPECT_EQ(duration_text(800ns), "0.8 µs");
    EXPECT_EQ(duration_text(12345us), "12 ms");
    EXPECT_EQ(duration_text(2500ms), "2.5 s");
    EXPECT_EQ(duration_text(3h), "3:00:00");
    EXPECT_EQ(rate_text(0.4), "0.4/s");
    EXPECT_EQ(rate_text(4120), "4.1 k/s");
    EXPECT_EQ(rate_text(999'700), "1 M/s");
    EXPECT_EQ(eta_text(11.2), "0:12");
    EXPECT_EQ(eta_text(3 * 86400 + 3600), "3 d 01:00");
    EXPECT_EQ(percent_text(0.001), "<1 %");
    EXPECT_EQ(shortened("größer", 4), "grö…");
}

}  // namespace
}  // namespace mp::trace
