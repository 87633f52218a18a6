/// \file
/// Random numbers that depend on the task and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include <multiprocessing/export.hpp>

namespace mp {

/// Philox 4x32 with 10 rounds: four random words for each counter and key, computed from them alone. From J. Salmon, M.
/// Moraes, R. Dror, D. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), where it passes BigCrush.
struct Philox4x32 {
    using Counter = std::array<std::uint32_t, 4>;
    using Key = std::array<std::uint32_t, 2>;

    /// The four words.
    static constexpr Counter block(Counter counter, Key key) noexcept {
        for (int round = 0; round < 10; ++round) {
            const std::uint64_t a = std::uint64_t(0xD2511F53) * counter[0];
            const std::uint64_t b = std::uint64_t(0xCD9E8D57) * counter[2];
            counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
                       static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
            key[0] += 0x9E3779B9;
            key[1] += 0xBB67AE85;
        }
        return counter;
    }
};

/// A stream of 64-bit random numbers of its own for each task of each call of each seed; a
/// std::uniform_random_bit_generator. Streams do not overlap: 2^49 numbers each, for 2^48 tasks of 2^32 calls. A value;
/// one thread at a time.
class TaskRng {
  public:
    using result_type = std::uint64_t;

    /// mp::task_rng() makes the one of the running task.
    constexpr explicit TaskRng(std::uint64_t seed = 0, std::uint64_t call = 0, std::uint64_t task = 0) noexcept
        : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
          counter_{0, static_cast<std::uint32_t>(task >> 32) << 16, static_cast<std::uint32_t>(task),
                   static_cast<std::uint32_t>(call)} {}

    /// The least number: 0.
    static constexpr result_type min() noexcept { return 0; }
    /// The largest: 2^64 - 1.
    static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }

    /// The next number.
    constexpr result_type operator()() noexcept {
        if (second_) {
            second_ = false;
            return words_[2] | std::uint64_t(words_[3]) << 32;
        }
        words_ = Philox4x32::block(counter_, key_);
        // 48 bits of counter: the low word, and the low half of the next.
        if (++counter_[0] == 0) counter_[1] = (counter_[1] & 0xFFFF0000U) | ((counter_[1] + 1) & 0xFFFFU);
        second_ = true;
        return words_[0] | std::uint64_t(words_[1]) << 32;
    }

    /// A number in [0, 1), with 53 random bits.
    constexpr double uniform() noexcept { return static_cast<double>((*this)() >> 11) * 0x1p-53; }

    friend constexpr bool operator==(const TaskRng&, const TaskRng&) = default;

  private:
    Philox4x32::Key key_;
    Philox4x32::Counter counter_;
    Philox4x32::Counter words_{};
    bool second_ = false;  // half of the words is left
};

/// The stream of the task that the calling thread runs, which goes on where the task's last use left it. It depends on
/// PoolOptions::seed, on how many calls the pool was given before this one, and on the task's index in it - not on the
/// number of workers, on chunks, on who ran it when or how often it was tried. Throws Error outside of a pool's task,
/// and in other threads that a task has started: make those a TaskRng of their own.
MP_EXPORT TaskRng& task_rng();

}  // namespace mp
