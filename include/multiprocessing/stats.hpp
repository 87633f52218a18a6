/// \file
/// What a pool did with its time: per worker, per task, in numbers and in words.
#pragma once

#include <sys/types.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <multiprocessing/export.hpp>

namespace mp {

/// Counts durations in fixed logarithmic buckets, four to each doubling: from single nanoseconds to more than a day,
/// with an error of at most an eighth. Two of them can be added up.
class DurationHistogram {
  public:
    /// The last one also takes what is longer.
    static constexpr std::size_t buckets = 188;

    /// The bucket that takes a duration.
    static constexpr std::size_t bucket_of(std::uint64_t nanoseconds) {
        if (nanoseconds < 4) return nanoseconds;
        const int exponent = std::bit_width(nanoseconds) - 1;
        const std::size_t bucket = static_cast<std::size_t>(exponent - 1) * 4 + ((nanoseconds >> (exponent - 2)) & 3);
        return bucket < buckets ? bucket : buckets - 1;
    }
    /// The shortest duration that a bucket takes, in nanoseconds; of `buckets`: what would come after the last.
    static constexpr std::uint64_t lower_bound(std::size_t bucket) {
        if (bucket < 4) return bucket;
        return (4 + (std::uint64_t{bucket} & 3)) << (bucket / 4 - 1);
    }

    /// Counts a duration; less than zero is zero.
    void add(std::chrono::nanoseconds duration, std::uint64_t times = 1) {
        const auto count = duration.count();
        add_to_bucket(bucket_of(count > 0 ? static_cast<std::uint64_t>(count) : 0), times);
    }
    /// Counts in a bucket; a number that is too large means the last.
    void add_to_bucket(std::size_t bucket, std::uint64_t times) {
        counts_[bucket < buckets ? bucket : buckets - 1] += times;
        total_ += times;
    }
    /// Adds all counts of the other.
    DurationHistogram& operator+=(const DurationHistogram& other);

    /// How many were counted.
    std::uint64_t count() const { return total_; }
    /// How many a bucket has. `bucket` must be less than `buckets`.
    std::uint64_t operator[](std::size_t bucket) const { return counts_[bucket]; }
    /// The duration that `fraction` of them do not exceed, as the middle of its bucket; zero when nothing was counted.
    MP_EXPORT std::chrono::nanoseconds percentile(double fraction) const;

  private:
    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t total_ = 0;
};

inline DurationHistogram& DurationHistogram::operator+=(const DurationHistogram& other) {
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) add_to_bucket(bucket, other.counts_[bucket]);
    return *this;
}

/// What a worker is doing.
enum class WorkerState : std::uint8_t { starting, initializing, waiting, working, gone };

/// What holds workers to PoolOptions::memory_limit: nothing; the kernel's refusal of more private memory (RLIMIT_DATA); or a
/// control group of version 2 for each worker.
enum class MemoryLimiter : std::uint8_t { none, data_limit, control_group };

/// How a worker spent its time, those before it in its place included.
struct WorkerStats {
    /// Its place in the pool, from 1.
    int number = 0;
    /// Of the one that is there now; 0 while it is being replaced.
    pid_t pid = 0;
    /// At the moment of the picture.
    WorkerState state = WorkerState::starting;
    /// What it runs, while it works: label or function, with the element of a map.
    std::string task{};
    /// How long that has been running; zero while it does not work.
    std::chrono::nanoseconds task_time{};
    /// How often its place was filled anew.
    std::uint64_t restarts = 0;
    /// Tasks and elements of maps that ended, well or not.
    std::uint64_t tasks = 0;
    /// Those that threw an exception.
    std::uint64_t failed = 0;
    /// What holds it to the pool's limit of memory, as its process found when it began: a group that was made for it may
    /// still refuse to take it in. Left out before the first one has begun.
    std::optional<MemoryLimiter> memory_limiter{};

    /// Until its process ran; until its initializer was over; without a task; with one; handing results over.
    std::chrono::nanoseconds start{}, init{}, waiting{}, working{}, sending{};

    /// The part of its life, once started, in which it worked: 0 to 1.
    MP_EXPORT double utilisation() const;
};

/// One task, or a stretch of elements that was timed as a whole.
struct TaskTime {
    /// Of the call, or the name of its function.
    std::string label{};
    /// Of the first element; none for a submitted task.
    std::optional<std::uint64_t> element{};
    /// How many elements were timed together.
    std::uint64_t count = 1;
    /// Of all `count` together.
    std::chrono::nanoseconds duration{};
    /// Since the pool started.
    std::chrono::nanoseconds begin{};
    /// Who ran it: WorkerStats::number.
    int worker = 0;

    /// `parse(#7)`, `parse(#64 to #127)`, `parse`.
    MP_EXPORT std::string name() const;
};

/// What Pool::stats() returns: a moment's picture. Counts of different workers are not taken at one instant.
struct PoolStats {
    /// Of the pool.
    std::string name{};
    /// Since the pool started.
    std::chrono::nanoseconds elapsed{};
    /// CPUs that the pool's owner may use.
    unsigned cpus = 0;
    /// One for each place, in order.
    std::vector<WorkerStats> workers{};
    /// Of single tasks and elements; elements too short to be timed alone count as their stretch's mean.
    DurationHistogram times{};
    /// The longest first; at most eight.
    std::vector<TaskTime> slowest{};
    /// Tasks that nobody has begun; tasks handed to workers and not answered.
    std::uint64_t waiting = 0, assigned = 0;
    /// Submitted so far; of maps: their elements.
    std::uint64_t submitted = 0, elements = 0;
    /// Attempts beyond the first; workers that died; attempts ended by a time limit.
    std::uint64_t retried = 0, crashes = 0, timeouts = 0;
    /// Bytes that each worker may use, when that is limited; and the weakest of what holds workers to it, of those that have
    /// begun.
    std::uint64_t memory_limit = 0;
    /// What holds workers to that limit.
    MemoryLimiter memory_limiter = MemoryLimiter::none;
    /// Whether work is held back at this moment because memory is short: one task at a time, one worker for each map. And
    /// how often that has begun.
    bool short_of_memory = false;
    /// How often work began to be held back.
    std::uint64_t memory_pauses = 0;
    /// What could be done better, each a sentence: advise() of all the above.
    std::vector<std::string> advice{};

    /// Tasks and elements that ended, well or not, in all workers.
    MP_EXPORT std::uint64_t tasks() const;
    /// Those of them that threw an exception, or whose worker died.
    MP_EXPORT std::uint64_t failed() const;
    /// The part of the workers' time in which they worked: 0 to 1.
    MP_EXPORT double utilisation() const;
    /// times.percentile(), but not longer than the longest task, which is known exactly.
    MP_EXPORT std::chrono::nanoseconds percentile(double fraction) const;
};

/// Sentences about what costs time in vain, the most important first. Depends on nothing but its argument.
MP_EXPORT std::vector<std::string> advise(const PoolStats& stats);

/// `starting`, `initializing`, `waiting`, `working` or `gone`.
MP_EXPORT const char* to_string(WorkerState state);
/// `none`, `data_limit` or `control_group`, in words.
MP_EXPORT const char* to_string(MemoryLimiter limiter);
/// A table of several lines.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const PoolStats& stats);

}  // namespace mp
