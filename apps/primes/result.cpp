#include "primes/result.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace primes {

Counted count_block(Method method, Block block) {
    const auto begin = std::chrono::steady_clock::now();
    const std::uint64_t count = count_primes(method, block.first, block.last);
    const std::chrono::duration<double> busy = std::chrono::steady_clock::now() - begin;
    return {block, count, static_cast<std::int32_t>(::getpid()), busy.count()};
}

void Result::add(const Counted& counted) {
    count += counted.count;
    parts.at(counted.block.part) += counted.count;
    done += cost_of(job.method, counted.block.first, counted.block.last);
    WorkerLine& line = worker(counted.pid);
    line.count += counted.count;
    line.tasks += 1;
    line.busy_seconds += counted.busy_seconds;
}

WorkerLine& Result::worker(int pid) {
    const auto known = std::find_if(workers.begin(), workers.end(), [&](const auto& line) { return line.pid == pid; });
    if (known != workers.end()) return *known;
    workers.push_back({.pid = pid});
    return workers.back();
}

}  // namespace primes
