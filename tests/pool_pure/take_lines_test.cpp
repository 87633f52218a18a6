#include "transport/take_lines.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "transport/copy_short.hpp"

namespace {

using mp::transport::copy_short;
using mp::transport::take_lines;

TEST(TakeLines, ChangeNoByteAndTouchNothingOutside) {
    constexpr std::size_t page = 4096;
    // A page between two that cannot be touched.
    void* const memory = ::mmap(nullptr, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto* const first = static_cast<std::byte*>(memory) + page;
    ASSERT_EQ(::mprotect(first, page, PROT_READ | PROT_WRITE), 0);
    std::array<std::byte, page> expected;
    for (std::size_t i = 0; i < page; ++i) first[i] = expected[i] = static_cast<std::byte>(i * 7 + i / 256);
    for (std::size_t size = 0; size <= 256; size += 8) {
        for (std::size_t offset = 0; offset <= 128; offset += 8) {
            take_lines(first + offset, first + offset + size);
            take_lines(first + page - offset - size, first + page - offset);
        }
    }
    take_lines(first, first + page);
    EXPECT_EQ(std::memcmp(first, expected.data(), page), 0);
    ::munmap(memory, 3 * page);
}

TEST(CopyShort, CopiesEachSizeAndNothingMore) {
    std::vector<std::byte> from(300);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i + 1);
    for (std::size_t size = 0; size <= 260; ++size) {
        std::vector<std::byte> to(size + 64, std::byte(0xee));
        copy_short(to.data() + 32, from.data() + 3, size);
        EXPECT_TRUE(std::equal(from.begin() + 3, from.begin() + 3 + static_cast<std::ptrdiff_t>(size), to.begin() + 32)) << size;
        const auto untouched = [](std::byte byte) { return byte == std::byte(0xee); };
        EXPECT_TRUE(std::all_of(to.begin(), to.begin() + 32, untouched)) << size;
        EXPECT_TRUE(std::all_of(to.end() - 32, to.end(), untouched)) << size;
    }
}

}  // namespace
