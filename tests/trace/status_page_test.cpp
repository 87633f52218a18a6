// The page that a pool shows of itself, and what readers make of anything that pretends to be one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <sstream>

#include <multiprocessing/status.hpp>

#include "os/raw_stack.hpp"
#include "support/leak_check.hpp"
#include "trace/status_page.hpp"

namespace mp::trace {
namespace {

using namespace std::chrono_literals;
using StatusPageTest = test::LeakCheck;

StatusPage make_page(std::size_t workers = 2) {
    auto page = StatusPage::make("parse", workers, 2);
    if (!page) throw std::system_error(page.error());
    return std::move(*page);
}

StatusWriter writer_of(StatusPage& page, std::size_t worker) {
    auto mapping = os::Mapping::shared(page.file(), page.size());
    if (!mapping) throw std::system_error(mapping.error());
    return StatusWriter(std::move(*mapping), worker);
}

TEST_F(StatusPageTest, TellsOfEachWorkerWhatHoldsItToItsMemoryAndOfAllTheWeakest) {
    StatusPage page = make_page(3);
    page.header().memory_limit = 1 << 20;
    const auto stats = [&] { return read_status(page.bytes(), now()).value(); };
    const auto text = [&] {
        std::ostringstream out;
        out << stats();
        return out.str();
    };
    EXPECT_EQ(stats().memory_limiter, MemoryLimiter::none);
    EXPECT_EQ(stats().workers[0].memory_limiter, std::nullopt);
    EXPECT_THAT(text(), testing::Not(testing::HasSubstr("limited by")));
    writer_of(page, 0).limited(MemoryLimiter::control_group);
    writer_of(page, 2).limited(MemoryLimiter::control_group);
    EXPECT_EQ(stats().memory_limiter, MemoryLimiter::control_group);
    EXPECT_THAT(text(), testing::HasSubstr("each worker's memory limited by a control group"));
    writer_of(page, 1).limited(MemoryLimiter::data_limit);
    EXPECT_EQ(stats().memory_limiter, MemoryLimiter::data_limit);
    EXPECT_EQ(stats().workers[1].memory_limiter, MemoryLimiter::data_limit);
    EXPECT_EQ(stats().workers[2].memory_limiter, MemoryLimiter::control_group);
    EXPECT_THAT(text(), testing::HasSubstr(
                            "memory of worker 1, 3 limited by a control group, memory of worker 2 limited by RLIMIT_DATA"));
    page.slot(1).memory_limiter = 77;
    EXPECT_EQ(stats().workers[1].memory_limiter, std::nullopt);
}

TEST_F(StatusPageTest, TellsWhatWorkersWroteDown) {
    StatusPage page = make_page();
    const auto label = page.label("convert");
    EXPECT_EQ(page.label("convert"), label);
    page.slot(0).pid = 77;
    page.slot(0).launches = 3;
    const auto begin = page.header().started_at.load();
    page.slot(0).launched_at = begin;
    StatusWriter writer = writer_of(page, 0);
    writer.started();
    writer.initialized();
    writer.waited(500);
    writer.begin(begin + 1000, label, 7, 1);
    writer.end(begin + 1000, begin + 4000, label, 7, 1);
    writer.begin(begin + 5000, label, 100, 10);
    writer.end(begin + 5000, begin + 105000, label, 100, 10);
    writer.sent(1000);
    writer.failed();
    writer.begin(begin + 200000, label, no_element, 1);

    const auto stats = read_status(page.bytes(), begin + 300000);
    ASSERT_TRUE(stats);
    EXPECT_EQ(stats->name, "parse");
    EXPECT_EQ(stats->elapsed, 300us);
    ASSERT_EQ(stats->workers.size(), 2u);
    const WorkerStats& worker = stats->workers[0];
    EXPECT_EQ(worker.pid, 77);
    EXPECT_EQ(worker.restarts, 2u);
    EXPECT_EQ(worker.tasks, 11u);
    EXPECT_EQ(worker.failed, 1u);
    EXPECT_EQ(worker.waiting, 500ns);
    EXPECT_EQ(worker.sending, 1us);
    EXPECT_EQ(worker.working, 3us + 100us - 1us + 100us);  // the task at work has been on for 100 µs
    EXPECT_EQ(worker.state, WorkerState::working);
    EXPECT_EQ(worker.task, "convert");
    EXPECT_EQ(worker.task_time, 100us);
    EXPECT_EQ(stats->workers[1].state, WorkerState::gone);
    EXPECT_EQ(stats->times.count(), 11u);
    EXPECT_EQ(stats->times[DurationHistogram::bucket_of(10000)], 10u);
    ASSERT_EQ(stats->slowest.size(), 2u);
    EXPECT_EQ(stats->slowest[0].name(), "convert(#100 to #109)");
    EXPECT_EQ(stats->slowest[1].name(), "convert(#7)");
    EXPECT_EQ(stats->slowest[1].begin, 1us);
}

TEST_F(StatusPageTest, KeepsTheSlowestTasks) {
    StatusPage page = make_page();
    page.slot(1).pid = 1;
    {
        StatusWriter writer = writer_of(page, 1);
        for (std::uint64_t i = 0; i < 1000; ++i) writer.end(0, 1 + i * 7919 % 1000, 0, i, 1);
    }
    StatusWriter replacement = writer_of(page, 1);
    replacement.end(0, 5000, 0, 5000, 1);
    const auto stats = read_status(page.bytes(), now());
    ASSERT_EQ(stats->slowest.size(), 8u);
    EXPECT_EQ(stats->slowest[0].duration, 5us);
    for (std::size_t i = 1; i < 8; ++i) EXPECT_EQ(stats->slowest[i].duration, std::chrono::nanoseconds(1001 - i));
}

TEST_F(StatusPageTest, HasALabelForWhatComesLate) {
    StatusPage page = make_page();
    for (int i = 0; i < 1000; ++i) page.label("label " + std::to_string(i));
    EXPECT_EQ(page.label("one more"), 0u);
    EXPECT_EQ(read_labels(page.bytes()).size(), most_labels);
    EXPECT_EQ(read_labels(page.bytes())[0], "(others)");
}

[[gnu::noinline]] int a_function_with_a_name() { return 1; }

TEST_F(StatusPageTest, FindsTheNamesOfFunctionsWhenItIsRead) {
    StatusPage page = make_page();
    const auto address = reinterpret_cast<std::uintptr_t>(&a_function_with_a_name);
    const auto located = os::locate(&address, 1);
    page.label({located.modules.at(0).path, located.modules.at(0).build_id, located.frames.at(0).offset});
    EXPECT_THAT(read_labels(page.bytes()).at(1), testing::HasSubstr("a_function_with_a_name"));
}

TEST_F(StatusPageTest, IsReadWithoutHarmWhateverItHolds) {
    StatusPage page = make_page();
    page.slot(0).pid = 5;
    std::vector<std::uint64_t> words(page.size() / 8);
    std::memcpy(words.data(), page.bytes().data(), words.size() * 8);
    std::mt19937_64 random(3);
    const auto original = words;
    for (int round = 0; round < 300; ++round) {
        words = original;
        const int changes = round < 10 ? 100000 : 1 + static_cast<int>(random() % 200);
        // Magic, version and the size of slots stay, or nobody would look further.
        for (int i = 0; i < changes; ++i) {
            const std::size_t at = random() % words.size();
            if (at > 1 && at != 7) words[at] = random() >> (random() % 64);
        }
        for (std::size_t i = 512; i < 512 + 32; ++i) words[i] = 0;  // no debug information is looked for here
        for (std::uint64_t label = 0; label < most_labels; ++label)
            words[labels_at / 8 + label * 32] = StatusLabel::text;
        const auto bytes = std::as_bytes(std::span(words));
        static_cast<void>(read_status(bytes, random()));
        static_cast<void>(read_status(bytes.first(random() % bytes.size() / 8 * 8), random()));
    }
    EXPECT_FALSE(read_status({}, 0));
    words = original;
    words[1] = StatusHeader::expected_version + 1;
    EXPECT_FALSE(read_status(std::as_bytes(std::span(words)), 0));
}

TEST_F(StatusPageTest, IsFoundByPidWhileItLives) {
    {
        const StatusPage page = make_page();
        const auto pools = running_pools(::getpid());
        ASSERT_EQ(pools.size(), 1u);
        EXPECT_EQ(pools[0].pid, ::getpid());
        EXPECT_EQ(pools[0].stats.name, "parse");
        EXPECT_THAT(pools[0].program, testing::HasSubstr("test_trace"));
        EXPECT_TRUE(
            std::ranges::any_of(running_pools(), [](const RunningPool& pool) { return pool.pid == ::getpid(); }));
    }
    EXPECT_TRUE(running_pools(::getpid()).empty());
}

TEST_F(StatusPageTest, OfAStrangerIsLeftOut) {
    auto empty = os::memory_file(status_file_name, 0);
    auto zeroes = os::memory_file(status_file_name, 1 << 20);
    auto huge = os::memory_file(status_file_name, std::uint64_t(1) << 40);
    ASSERT_TRUE(empty && zeroes && huge);
    EXPECT_TRUE(running_pools(::getpid()).empty());
}

}  // namespace
}  // namespace mp::trace
