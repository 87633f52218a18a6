#include "primes/plan.hpp"

#include <algorithm>
#include <cmath>

namespace primes {
namespace {

// Divisions in a block of trial division. Large blocks first, so that handing them out costs nothing beside them, but
// none over some 20 ms, so that little is lost with a worker or at Ctrl-C; smaller ones towards the end, down to half a
// millisecond, so that all workers end together.
constexpr double largest_cost = 10'000'000;
constexpr double smallest_cost = 250'000;
constexpr double share_of_rest = 8;  // a block is this part of what is left for each worker

/// Trial division of x, on average over its neighbours: a prime, one in ln x, costs x divisions, the rest few.
double trial_density(double x) { return 4 + x / std::log(x + 3); }

/// How many values from x on cost about `cost` divisions together, from the integral of the density.
double trial_width(double x, double cost) {
    const double square = 2 * cost * std::log(x + std::sqrt(2 * cost) + 3);
    return std::min(square / (std::sqrt(x * x + square) + x), cost / 4);
}

std::uint64_t sieve_width(const Job& job) {
    // Each call of the sieve begins with the primes up to the root of its end, so blocks far up must be wider; but
    // rather narrow blocks than workers without work.
    const std::uint64_t least = 10'000'000;
    const auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(job.end)));
    const std::uint64_t length = job.end - job.start;
    const std::uint64_t good = std::max(least, 4 * root);
    const std::uint64_t tolerable = std::max({least, root / 5, length / job.workers + 1});
    // From about this width on the sieve is a fifth faster; worth it while there are blocks enough to share out evenly.
    const std::uint64_t fast = 120'000'000;
    std::uint64_t width = length / (std::uint64_t{job.workers} * 32);
    if (width < fast && length / (std::uint64_t{job.workers} * 8) >= fast) width = fast;
    return std::clamp(width, std::min(good, tolerable), std::max<std::uint64_t>(good, 1'000'000'000));
}

}  // namespace

std::optional<Block> even_part(std::uint64_t first, std::uint64_t last, std::uint32_t parts, std::uint32_t index) {
    if (parts == 1) return Block{first, last, index};
    // The number of values may be 2^64 and not fit; one less always does.
    const std::uint64_t less_one = last - first;
    const bool even = less_one % parts + 1 == parts;
    const std::uint64_t size = less_one / parts + (even ? 1 : 0), longer = even ? 0 : less_one % parts + 1;
    const std::uint64_t from = first + size * index + std::min<std::uint64_t>(index, longer);
    const std::uint64_t count = size + (index < longer ? 1 : 0);
    if (count == 0) return std::nullopt;
    return Block{from, from + count - 1, index};
}

double cost_of(Method method, std::uint64_t first, std::uint64_t last) {
    if (last < first) return 0;
    const double width = static_cast<double>(last - first) + 1;
    if (method == Method::sieve) return width;
    const int steps = width < 1000 ? 1 : 256;
    double sum = 0;
    for (int i = 0; i < steps; ++i) sum += trial_density(static_cast<double>(first) + width * (i + 0.5) / steps);
    return sum / steps * width;
}

Plan::Plan(const Job& job, std::uint64_t first, std::uint64_t last)
    : job_(job), next_(first), last_(last), done_(last < first) {
    if (done_) return;
    if (job.method == Method::sieve) {
        width_ = sieve_width(job);
    } else {
        rest_ = cost_of(job.method, first, last);
        least_ = std::clamp(rest_ / (job.workers * 16.0), 100.0, smallest_cost);
    }
    enter_part();
}

/// Finds the part that next_ lies in.
void Plan::enter_part() {
    std::uint32_t low = 0, high = job_.parts - 1;
    while (low < high) {
        const std::uint32_t middle = low + (high - low) / 2;
        const auto part = even_part(job_.start, job_.end, job_.parts, middle);
        if (part && part->last < next_)
            low = middle + 1;
        else
            high = middle;
    }
    part_ = even_part(job_.start, job_.end, job_.parts, low).value_or(Block{next_, last_, low});
}

std::uint64_t Plan::end_of_block(std::uint64_t first) const {
    const std::uint64_t last = std::min(last_, part_.last);
    double width = static_cast<double>(width_);
    if (job_.method == Method::trial) {
        const double cost = std::clamp(rest_ / (job_.workers * share_of_rest), least_, largest_cost);
        width = std::max(1.0, trial_width(static_cast<double>(first), cost));
    }
    if (width >= static_cast<double>(last - first)) return last;
    return first + static_cast<std::uint64_t>(width) - 1;
}

std::optional<Block> Plan::next() {
    if (done_) return std::nullopt;
    const Block block{next_, end_of_block(next_), part_.part};
    rest_ -= cost_of(job_.method, block.first, block.last);
    done_ = block.last == last_;
    if (!done_) {
        next_ = block.last + 1;
        if (next_ > part_.last) enter_part();
    }
    return block;
}

}  // namespace primes
