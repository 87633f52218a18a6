// What workers report, and what is made of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "primes/plan.hpp"

namespace primes {

/// One block counted: what a worker sends back.
struct Counted {
    Block block;
    std::uint64_t count = 0;
    std::int32_t pid = 0;
    double busy_seconds = 0;
};

/// Counts one block and looks at the clock: the function that workers run.
Counted count_block(Method method, Block block);

struct WorkerLine {
    int pid = 0;
    std::uint64_t count = 0;
    std::uint64_t tasks = 0;
    double busy_seconds = 0;
    Block range{1, 0, 0};  ///< what it was given as a whole, where a mode does that; else empty
};

struct Result {
    Job job;
    std::string mode;
    std::uint64_t count = 0;
    std::vector<std::uint64_t> parts;  ///< the count of each part of the frequency chart
    std::vector<WorkerLine> workers;   ///< in the order of their first report
    std::vector<std::string> events;   ///< what else happened, each a sentence
    double seconds = 0;                ///< start and stop of the workers included
    double done = 0;                   ///< cost of what was counted
    bool partial = false;

    explicit Result(const Job& of, std::string in_mode) : job(of), mode(std::move(in_mode)), parts(of.parts) {}

    void add(const Counted& counted);

    /// The line of a process, a new one when it is not known yet.
    WorkerLine& worker(int pid);
};

}  // namespace primes
