#include "transport/frame_ring.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/child.hpp"
#include "support/sanitizers.hpp"

namespace {

using mp::transport::FrameReader;
using mp::transport::FrameWriter;
using mp::transport::RingIndices;

template <std::size_t capacity>
struct Ring {
    RingIndices indices{};
    alignas(128) std::array<std::byte, capacity> memory{};
    FrameWriter writer{indices, memory};
    FrameReader reader{indices, memory};
};

bool put(FrameWriter& writer, std::string_view text) {
    std::byte* place = writer.reserve(text.size());
    if (!place) return false;
    std::memcpy(place, text.data(), text.size());
    writer.commit();
    return true;
}

std::optional<std::string> take(FrameReader& reader) {
    const auto frame = reader.peek();
    if (!frame.data()) return std::nullopt;
    std::string text(reinterpret_cast<const char*>(frame.data()), frame.size());
    reader.release();
    return text;
}

TEST(FrameRing, IsEmptyAtFirst) {
    Ring<1024> ring;
    EXPECT_FALSE(ring.reader.ready());
    EXPECT_FALSE(take(ring.reader));
    EXPECT_FALSE(ring.reader.broken());
}

TEST(FrameRing, AnEndThatTakesOverAnIndexOfNoMeaningStaysInsideTheMemory) {
    Ring<1024> ring;
    for (const std::uint64_t index : {1017U, 1023U, 2047U, 9U}) {
        ring.indices.head.store(index);
        ring.indices.tail.store(index);
        FrameWriter writer(ring.indices, ring.memory);
        FrameReader reader(ring.indices, ring.memory);
        const std::byte* const place = writer.reserve(100);
        ASSERT_TRUE(place);
        EXPECT_GE(place, ring.memory.data() + 8);
        EXPECT_LE(place, ring.memory.data() + 1024 - 100);
        EXPECT_EQ((place - ring.memory.data()) % 16, 8) << "a prefix may run over the end";
        writer.commit();
        const auto frame = reader.peek();
        EXPECT_TRUE(!frame.data() || frame.data() == place) << index;
    }
}

TEST(FrameRing, KeepsFramesApartEmptyOnesToo) {
    Ring<1024> ring;
    ASSERT_TRUE(put(ring.writer, "one"));
    ASSERT_TRUE(put(ring.writer, ""));
    ASSERT_TRUE(put(ring.writer, "three"));
    EXPECT_TRUE(ring.reader.ready());
    EXPECT_EQ(take(ring.reader), "one");
    EXPECT_EQ(take(ring.reader), "");
    EXPECT_EQ(take(ring.reader), "three");
    EXPECT_FALSE(ring.reader.ready());
}

TEST(FrameRing, ShowsAFrameOnlyOnceItIsCommitted) {
    Ring<1024> ring;
    ASSERT_TRUE(ring.writer.reserve(10));
    EXPECT_FALSE(ring.reader.ready());
    ASSERT_TRUE(ring.writer.reserve(20)) << "a reservation may be made anew";
    ring.writer.commit();
    EXPECT_EQ(ring.reader.peek().size(), 20U);
}

TEST(FrameRing, PeekShowsTheSameFrameUntilItIsReleased) {
    Ring<1024> ring;
    ASSERT_TRUE(put(ring.writer, "one"));
    ASSERT_TRUE(put(ring.writer, "two"));
    EXPECT_EQ(ring.reader.peek().data(), ring.reader.peek().data());
    EXPECT_EQ(take(ring.reader), "one");
    EXPECT_EQ(take(ring.reader), "two");
}

TEST(FrameRing, RefusesAFrameWhenFullAndTakesItOnceThereIsRoom) {
    Ring<256> ring;
    int count = 0;
    while (put(ring.writer, "12345678")) ++count;
    EXPECT_EQ(count, 16) << "8 bytes and the prefix fill a unit of 16";
    EXPECT_EQ(take(ring.reader), "12345678");
    EXPECT_TRUE(put(ring.writer, "again"));
    EXPECT_FALSE(put(ring.writer, "again"));
}

TEST(FrameRing, AFrameThatDoesNotFitBeforeTheEndGoesToTheBeginning) {
    Ring<256> ring;
    for (int round = 0; round < 100; ++round) {
        const std::string text(static_cast<std::size_t>(round % 60), static_cast<char>('a' + round % 26));
        ASSERT_TRUE(put(ring.writer, text)) << round;
        ASSERT_EQ(take(ring.reader), text) << round;
    }
}

TEST(FrameRing, TheLargestFrameAlwaysFitsIntoAnEmptyRing) {
    Ring<1024> ring;
    const std::string text(ring.writer.max_frame(), 'x');
    for (int round = 0; round < 50; ++round) {
        ASSERT_TRUE(put(ring.writer, text)) << round;
        ASSERT_EQ(take(ring.reader), text);
        ASSERT_TRUE(put(ring.writer, "shift"));
        ASSERT_EQ(take(ring.reader), "shift");
    }
}

TEST(FrameRing, BothSidesCanBeMadeAnewOverTheSameMemory) {
    Ring<1024> ring;
    ASSERT_TRUE(put(ring.writer, "one"));
    ASSERT_TRUE(put(ring.writer, "two"));
    EXPECT_EQ(take(ring.reader), "one");
    FrameReader reader(ring.indices, ring.memory);
    FrameWriter writer(ring.indices, ring.memory);
    ASSERT_TRUE(put(writer, "three"));
    EXPECT_EQ(take(reader), "two");
    EXPECT_EQ(take(reader), "three");
}

TEST(FrameRing, ASizeThatDoesNotFitBreaksTheRingAndNothingElse) {
    for (const std::uint32_t size : {0xFFFFFFFFU, 0xFFFFFFF0U, 0x80000000U, 1024U, 1017U, 17U}) {
        Ring<1024> ring;
        ASSERT_TRUE(put(ring.writer, "12345678"));
        std::memcpy(ring.memory.data(), &size, sizeof size);
        EXPECT_FALSE(take(ring.reader)) << size;
        EXPECT_TRUE(ring.reader.broken()) << size;
    }
}

TEST(FrameRing, AnEndlessChainOfFillersEnds) {
    Ring<1024> ring;
    for (std::size_t at = 0; at < 1024; at += 16) {
        const std::uint32_t prefix[] = {8, 1};
        std::memcpy(ring.memory.data() + at, prefix, sizeof prefix);
    }
    ring.indices.head.store(1024);
    EXPECT_FALSE(take(ring.reader));
}

TEST(FrameRing, IndicesGoneMadBreakItOrShowNothing) {
    {
        Ring<1024> ring;
        ring.indices.head.store(5000);
        EXPECT_FALSE(take(ring.reader));
        EXPECT_TRUE(ring.reader.broken());
    }
    {
        Ring<1024> ring;
        ASSERT_TRUE(put(ring.writer, "one"));
        for (int i = 0; i < 3; ++i) static_cast<void>(put(ring.writer, std::string(200, 'x')));
        ring.indices.tail.store(~std::uint64_t(0));
        while (put(ring.writer, std::string(200, 'x'))) continue;
        SUCCEED() << "it ends";
    }
}

TEST(FrameRing, RandomBytesNeverLeadOutsideTheMemory) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 20'000; ++round) {
        Ring<1024> ring;
        for (std::size_t at = 0; at < 1024; at += 8) {
            const std::uint64_t word = random() % 4 ? random() % 64 : random();
            std::memcpy(ring.memory.data() + at, &word, 8);
        }
        ring.indices.head.store(random() % 3 ? random() % 70 * 16 : random());
        FrameReader reader(ring.indices, ring.memory);
        for (int frames = 0; frames < 200; ++frames) {
            const auto frame = reader.peek();
            if (!frame.data()) break;
            ASSERT_GE(frame.data(), ring.memory.data());
            ASSERT_LE(frame.data() + frame.size(), ring.memory.data() + 1024);
            reader.release();
        }
    }
}

TEST(FrameRing, RandomSizesArriveWholeAndInOrder) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        std::mt19937 random(seed);
        auto ring = std::make_unique<Ring<4096>>();
        std::deque<std::string> inside;
        for (int step = 0; step < 20'000; ++step) {
            if (random() % 2) {
                const std::string text(random() % (random() % 3 ? 64 : ring->writer.max_frame()), static_cast<char>(random()));
                if (put(ring->writer, text)) inside.push_back(text);
                else ASSERT_FALSE(inside.empty()) << "an empty ring refused " << text.size();
            } else {
                const auto text = take(ring->reader);
                ASSERT_EQ(bool(text), !inside.empty());
                if (!text) continue;
                ASSERT_EQ(*text, inside.front());
                inside.pop_front();
            }
        }
    }
}

TEST(FrameRing, TwoThreadsPassAMillionFramesWithoutLosingOne) {
    auto ring = std::make_unique<Ring<8192>>();
    constexpr std::uint64_t count = MP_UNDER_SANITIZER ? 100'000 : 1'000'000;
    std::thread writer([&] {
        std::mt19937 random(3);
        for (std::uint64_t i = 0; i < count;) {
            const std::size_t size = 8 + random() % 200;
            std::byte* place;
            while (!(place = ring->writer.reserve(size))) std::this_thread::yield();
            std::memcpy(place, &i, 8);
            std::memset(place + 8, static_cast<int>(i & 0xFF), size - 8);
            ring->writer.commit();
            ++i;
        }
    });
    bool right = true;
    for (std::uint64_t i = 0; i < count;) {
        const auto frame = ring->reader.peek();
        if (!frame.data()) {
            std::this_thread::yield();
            continue;
        }
        std::uint64_t number;
        std::memcpy(&number, frame.data(), 8);
        right &= number == i && (frame.size() == 8 || frame.back() == static_cast<std::byte>(i & 0xFF));
        ring->reader.release();
        ++i;
    }
    writer.join();
    EXPECT_TRUE(right);
    EXPECT_FALSE(ring->reader.broken());
}

// The writer is killed at random moments between any two of its stores: what the reader finds is whole frames, in order.
TEST(FrameRing, AWriterKilledAnywhereLeavesWholeFrames) {
    using Shared = Ring<4096>;
    std::mt19937 random(11);
    for (int round = 0; round < 60; ++round) {
        void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(memory, MAP_FAILED);
        auto* ring = new (memory) Shared;
        {
            mp::test::Child child([&]() -> int {
                for (std::uint64_t i = 0;; ++i) {
                    const std::size_t size = 8 + (i * 37) % 300;
                    std::byte* place;
                    while (!(place = ring->writer.reserve(size))) continue;
                    std::memcpy(place, &i, 8);
                    std::memset(place + 8, static_cast<int>(i & 0xFF), size - 8);
                    ring->writer.commit();
                }
            });
            FrameReader reader(ring->indices, ring->memory);
            std::uint64_t expected = 0;
            const std::uint64_t kill_at = random() % 2000;
            bool killed = false;
            while (true) {
                const auto frame = reader.peek();
                if (!frame.data()) {
                    if (killed) break;
                    continue;
                }
                std::uint64_t number;
                std::memcpy(&number, frame.data(), 8);
                ASSERT_EQ(number, expected);
                ASSERT_EQ(frame.size(), 8 + (number * 37) % 300);
                for (const std::byte byte : frame.subspan(8)) ASSERT_EQ(byte, static_cast<std::byte>(number & 0xFF));
                reader.release();
                if (++expected >= kill_at && !killed) {
                    child.kill();
                    child.wait();
                    killed = true;
                }
            }
            EXPECT_FALSE(reader.broken());
        }
        ::munmap(memory, sizeof(Shared));
    }
}

}  // namespace
