// Cuts the range into blocks: the tasks that workers are given.
#pragma once

#include <cstdint>
#include <optional>

#include "primes/counting.hpp"

namespace primes {

/// A closed range of values, as one task. `part` says in which part of the frequency chart it lies.
struct Block {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint32_t part = 0;

    friend bool operator==(const Block&, const Block&) = default;
};

/// What is to be counted, and by how many.
struct Job {
    std::uint64_t start = 1;
    std::uint64_t end = 0;  ///< included
    Method method = Method::trial;
    std::uint32_t workers = 1;
    std::uint32_t parts = 1;  ///< of the frequency chart; no block crosses from one to the next
};

/// One of `parts` even parts of [first, last]: the first ones are one longer when it does not divide evenly, and when
/// there are more parts than values the last ones are nothing.
std::optional<Block> even_part(std::uint64_t first, std::uint64_t last, std::uint32_t parts, std::uint32_t index);

/// The cost of [first, last], in a unit that is the same for all blocks of a method.
double cost_of(Method method, std::uint64_t first, std::uint64_t last);

/// Deals out [first, last] of a job as blocks, from low to high; those of trial division become smaller
/// towards the end. The end is not known in advance:
/// the whole of 64 bits is as good a range as any.
class Plan {
  public:
    explicit Plan(const Job& job) : Plan(job, job.start, job.end) {}
    Plan(const Job& job, std::uint64_t first, std::uint64_t last);

    /// The next block, or nothing when all were dealt out.
    std::optional<Block> next();

  private:
    std::uint64_t end_of_block(std::uint64_t first) const;
    void enter_part();

    Job job_;
    std::uint64_t next_;
    std::uint64_t last_;
    bool done_;
    Block part_;               // the part of the chart that next_ lies in
    double rest_ = 0;          // trial: cost of what was not dealt out
    double least_ = 0;         // trial: cost of the smallest blocks
    std::uint64_t width_ = 0;  // sieve: values a block
};

}  // namespace primes
