// What is kept of a run, and in how much memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "trace/recorder.hpp"
#include "trace/sample_recording.hpp"

namespace mp::trace {
namespace {

using testing::ElementsAre;

Span span(std::uint64_t begin, std::uint64_t end, std::uint64_t failed = 0) {
    Span result;
    result.begin = begin;
    result.end = end;
    result.busy = end - begin;
    result.failed = failed;
    return result;
}

TEST(JoinShort, JoinsShortNeighboursAndLeavesLongOnesAlone) {
    std::vector<Span> spans{span(0, 10), span(12, 20), span(21, 500), span(501, 510), span(515, 520), span(1000, 1005)};
    join_short(spans, 50, false);
    ASSERT_EQ(spans.size(), 4u);
    EXPECT_EQ(spans[0].end, 20u);
    EXPECT_EQ(spans[0].busy, 18u);
    EXPECT_EQ(spans[0].count, 2u);
    EXPECT_TRUE(spans[0].joined);
    EXPECT_EQ(spans[1], span(21, 500));
    EXPECT_EQ(spans[2].count, 2u);
    EXPECT_EQ(spans[3], span(1000, 1005));  // the gap before it is one to be seen
}

TEST(JoinShort, KeepsFailedAndCrashedOnesUnlessThereAreTooMany) {
    Span crashed = span(30, 35);
    crashed.crashed = true;
    std::vector<Span> spans{span(0, 10), span(11, 12, 1), span(13, 20), crashed, span(36, 40)};
    auto kept = spans;
    join_short(kept, 100, false);
    EXPECT_EQ(kept, spans);
    join_short(spans, 100, true);
    ASSERT_EQ(spans.size(), 3u);
    EXPECT_EQ(spans[0].failed, 1u);
    EXPECT_TRUE(spans[1].crashed);
}

TEST(Recorder, KeepsAMillionTasksInBoundedMemoryAndTheLongestExactly) {
    const Recording recording = test::sample_recording(1'000'000, 4, 2e4, true, 10'000);
    std::uint64_t spans = 0, tasks = 0, busy = 0, longest = 0, crashed = 0, failed = 0;
    for (const Track& track : recording.pools[0].tracks) {
        std::uint64_t before = 0;
        for (const Span& one : track.spans) {
            EXPECT_GE(one.begin, before);
            before = one.end;
            ++spans;
            tasks += one.count;
            busy += one.busy;
            failed += one.failed;
            crashed += one.crashed;
            if (!one.joined) longest = std::max(longest, one.end - one.begin);
        }
    }
    EXPECT_LE(spans, 10'000u);
    EXPECT_EQ(tasks, 1'000'000u);
    std::uint64_t worked = 0;
    for (const auto& worker : recording.pools[0].stats.workers)
        worked += static_cast<std::uint64_t>(worker.working.count());
    EXPECT_EQ(busy, worked);
    EXPECT_EQ(longest, static_cast<std::uint64_t>(recording.pools[0].stats.slowest[0].duration.count()));
    EXPECT_EQ(crashed, 1u);
    EXPECT_EQ(failed, recording.pools[0].stats.failed());
}

TEST(Recorder, IsBoundedEvenWhenEveryTaskFails) {
    Recorder recorder(1000);
    const std::size_t pool = recorder.add_pool("p", 1, 1, {}, {});
    for (std::uint64_t i = 0; i < 100'000; ++i) recorder.span(pool, 0, span(i * 10, i * 10 + 9, 1));
    for (std::uint64_t i = 0; i < 50'000; ++i) recorder.mark(pool, 0, {i, MarkKind::retried, "again"});
    for (std::uint64_t i = 0; i < 50'000; ++i) recorder.queue(pool, i * 1'000'000'000, i);
    const Recording recording = recorder.take();
    EXPECT_LE(recording.pools[0].tracks[0].spans.size(), 1000u);
    EXPECT_LE(recording.pools[0].tracks[0].marks.size() + recording.forgotten_marks, 50'000u);
    EXPECT_EQ(recording.pools[0].tracks[0].marks.size(), 20'000u);
    EXPECT_LE(recording.pools[0].queue.size(), 4'001u);
}

TEST(Recorder, LeavesOutWhatCannotHaveHappened) {
    Recorder recorder;
    const std::size_t pool = recorder.add_pool("p", 1, 1, {}, {});
    const auto at = now();
    recorder.span(pool, 0, SpanRecord{at, at - 1, 0, 1, 0, 0});
    recorder.span(pool, 0, SpanRecord{at, at + 3'600'000'000'000, 0, 1, 0, 0});
    recorder.span(pool, 0, SpanRecord{at, at, 0, 0, 0, 0});
    recorder.span(pool, 0, SpanRecord{at - 1'000'000'000, at, 0, 1, 0, 99});
    const Recording recording = recorder.take();
    ASSERT_EQ(recording.pools[0].tracks[0].spans.size(), 1u);
    EXPECT_EQ(recording.pools[0].tracks[0].spans[0].begin, recording.begin);
    EXPECT_EQ(recording.pools[0].tracks[0].spans[0].failed, 1u);
}

TEST(Recorder, TellsTheDifferenceOfTwoPictures) {
    PoolStats before, after;
    before.workers.resize(1);
    before.workers[0].tasks = 10;
    before.elapsed = std::chrono::seconds(5);
    before.times.add(std::chrono::milliseconds(1), 10);
    after = before;
    after.workers[0].tasks = 25;
    after.elapsed = std::chrono::seconds(8);
    after.times.add(std::chrono::milliseconds(4), 15);
    after.slowest = {{.label = "old", .duration = std::chrono::seconds(2), .begin = std::chrono::seconds(1)},
                     {.label = "new", .duration = std::chrono::seconds(1), .begin = std::chrono::seconds(6)}};
    const PoolStats between = difference(after, before);
    EXPECT_EQ(between.tasks(), 15u);
    EXPECT_EQ(between.elapsed, std::chrono::seconds(3));
    EXPECT_EQ(between.times.count(), 15u);
    ASSERT_EQ(between.slowest.size(), 1u);
    EXPECT_EQ(between.slowest[0].label, "new");
    EXPECT_EQ(between.slowest[0].begin, std::chrono::seconds(1));
}

TEST(Ring, GivesEachRecordOnceAndInOrder) {
    const auto ring = std::make_unique<Ring>();
    RingReader reader;
    std::vector<std::uint64_t> seen;
    const auto take = [&](const SpanRecord& record) { seen.push_back(record.element); };
    write(*ring, {.begin = 1, .end = 2, .element = 10, .count = 1, .label = 0, .failed = 0});
    write(*ring, {.begin = 2, .end = 3, .element = 11, .count = 1, .label = 0, .failed = 0});
    EXPECT_EQ(reader.read(*ring, take), 0u);
    write(*ring, {.begin = 3, .end = 4, .element = 12, .count = 1, .label = 0, .failed = 0});
    EXPECT_EQ(reader.read(*ring, take), 0u);
    EXPECT_THAT(seen, ElementsAre(10, 11, 12));
}

TEST(Ring, CountsWhatWasWrittenOver) {
    const auto ring = std::make_unique<Ring>();
    RingReader reader;
    for (std::uint64_t i = 0; i < 2 * Ring::capacity; ++i) write(*ring, {i, i, i, 1, 0, 0});
    std::uint64_t seen = 0, last = 0;
    const auto lost = reader.read(*ring, [&](const SpanRecord& record) {
        ++seen;
        last = record.element;
    });
    EXPECT_EQ(seen + lost, 2 * Ring::capacity);
    EXPECT_EQ(last, 2 * Ring::capacity - 1);
}

TEST(Ring, NeverGivesHalfARecordWhileItIsWritten) {
    const auto ring = std::make_unique<Ring>();
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (std::uint64_t i = 0; !stop.load(std::memory_order_relaxed); ++i)
            write(*ring, {i, i, i, i, static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i)});
    });
    RingReader reader;
    std::uint64_t seen = 0;
    for (int round = 0; round < 2000 || seen == 0; ++round)
        reader.read(*ring, [&](const SpanRecord& r) {
            ++seen;
            ASSERT_TRUE(r.begin == r.end && r.begin == r.element && r.begin == r.count && r.label == r.failed &&
                        r.label == static_cast<std::uint32_t>(r.begin));
        });
    stop = true;
    writer.join();
}

}  // namespace
}  // namespace mp::trace
