// Cache lines that go round between two processors: the reader's half.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mp::transport {

/// Makes the cache lines that end in what was read, [begin, end), this processor's own before their space is given back;
/// changes no byte of them. Both are aligned to 8, and the writer writes nothing in between meanwhile.
///
/// A line that its reader has only read is in both processors' caches. When the writer comes by a round later, it has to
/// take each such line away from the reader before it may write, and waits for one after the other: 50 ns each between
/// distant cores. Lines that it does not have at all it fetches many at a time.
inline void take_lines(std::byte* begin, const std::byte* end) {
    constexpr std::uintptr_t line = 64, word = sizeof(std::uint64_t);
    const auto last_word = (reinterpret_cast<std::uintptr_t>(begin) | (line - word)) & ~(word - 1);
    for (std::byte* at = begin + (last_word - reinterpret_cast<std::uintptr_t>(begin)); at < end; at += line) {
        const std::atomic_ref<std::uint64_t> place(*reinterpret_cast<std::uint64_t*>(at));
        place.store(place.load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
}

}  // namespace mp::transport
