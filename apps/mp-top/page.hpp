// What is shown: the pools at one moment, with rates since the moment before.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <multiprocessing/status.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "process.hpp"

namespace top {

struct WorkerLine {
    mp::WorkerStats stats;
    std::optional<double> cpu;  ///< of one CPU, 0 to 1 and more with threads; none before the second look
    std::uint64_t resident = 0;
    std::optional<double> rate;  ///< tasks a second
};

struct PoolLines {
    pid_t pid = 0;
    std::string program;
    mp::PoolStats stats;
    std::optional<double> rate;
    std::vector<WorkerLine> workers;
};

/// Remembers what it saw last.
class Watcher {
  public:
    using Clock = std::chrono::steady_clock;

    /// Looks at the machine.
    std::vector<PoolLines> look(pid_t only, Order order);
    /// The same for pools and usages from elsewhere, at the moment `at`.
    std::vector<PoolLines> look(std::vector<mp::RunningPool> pools, const std::map<pid_t, Usage>& usages, Order order,
                                Clock::time_point at);

  private:
    struct Seen {
        std::uint64_t tasks = 0;
        double cpu_seconds = 0;
    };
    std::map<std::pair<pid_t, std::string>, std::uint64_t> pool_tasks_;
    std::map<pid_t, Seen> workers_;
    std::optional<Clock::time_point> last_;
};

}  // namespace top
