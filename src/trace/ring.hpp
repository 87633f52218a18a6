// Where a worker writes down each task or chunk that it ran, while somebody records: a ring in its lane, which survives
// it.
//
// The worker never waits: it writes over the oldest. The owner reads what is there and can tell what it missed.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <type_traits>

namespace mp::trace {

/// One task, or a stretch of elements.
struct SpanRecord {
    std::uint64_t begin;  // steady clock, nanoseconds
    std::uint64_t end;
    std::uint64_t element;  // the first; no_element for a submitted task
    std::uint64_t count;
    std::uint32_t label;
    std::uint32_t failed;  // how many of them
};
static_assert(sizeof(SpanRecord) == 40 && std::is_trivially_copyable_v<SpanRecord>);

struct Ring {
    static constexpr std::uint64_t capacity = 26 * 1024;
    static constexpr std::size_t words = sizeof(SpanRecord) / sizeof(std::uint64_t);
    using Place = std::array<std::atomic<std::uint64_t>, words>;

    alignas(128) std::atomic<std::uint64_t> begun;  // records that may stand there half written; by the worker
    std::atomic<std::uint64_t> written;             // records that are whole, stored after them
    alignas(128) std::array<Place, capacity> places;
};
inline constexpr std::uint64_t ring_size = (sizeof(Ring) + 4095) / 4096 * 4096;

/// The worker's end.
inline void write(Ring& ring, const SpanRecord& record) {
    std::array<std::uint64_t, Ring::words> words;
    __builtin_memcpy(words.data(), &record, sizeof record);
    const auto number = ring.written.load(std::memory_order_relaxed);
    ring.begun.store(number + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // a reader that sees a word of this also sees `begun`
    auto& place = ring.places[number % Ring::capacity];
    for (std::size_t i = 0; i < Ring::words; ++i) place[i].store(words[i], std::memory_order_relaxed);
    ring.written.store(number + 1, std::memory_order_release);
}

/// The owner's end.
class RingReader {
  public:
    /// Gives each new record to `take`; returns how many were written over before they could be read.
    template <class Take>
    std::uint64_t read(const Ring& ring, Take&& take) {
        std::uint64_t lost = 0;
        const std::uint64_t end = ring.written.load(std::memory_order_acquire);
        if (end < next_) next_ = end;  // nonsense
        if (end - next_ > Ring::capacity) {
            // Well ahead of the writer, which goes on meanwhile.
            lost = end - next_ - Ring::capacity / 2;
            next_ = end - Ring::capacity / 2;
        }
        for (; next_ != end; ++next_) {
            std::array<std::uint64_t, Ring::words> words;
            const auto& place = ring.places[next_ % Ring::capacity];
            for (std::size_t i = 0; i < Ring::words; ++i) words[i] = place[i].load(std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (ring.begun.load(std::memory_order_relaxed) - next_ > Ring::capacity) {
                ++lost;
                continue;
            }
            SpanRecord record;
            __builtin_memcpy(&record, words.data(), sizeof record);
            take(record);
        }
        return lost;
    }
    /// Passes over what is there.
    void skip(const Ring& ring) { next_ = ring.written.load(std::memory_order_acquire); }

  private:
    std::uint64_t next_ = 0;
};

}  // namespace mp::trace
