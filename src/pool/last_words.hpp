// What is known of a worker's end besides its status, and the error made of it.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <multiprocessing/errors.hpp>

#include "process/report.hpp"

namespace mp::pool {

struct LastWords {
    std::vector<std::string> stderr_tail{};
    std::string exit_call{};                        ///< `exit`, when the task called it
    bool ending = false;                            ///< it still writes its core
    std::optional<std::uint64_t> memory_limit{};    ///< that it passed
};

/// What the report page tells. `status`: what it tells of memory is added to it.
LastWords last_words(const process::ReportPage& report, std::optional<std::uint64_t> memory_limit, ExitStatus& status);

/// WorkerLost, or MemoryLimitExceeded.
std::exception_ptr worker_lost(const TaskInfo& task, pid_t pid, const ExitStatus& status, const LastWords& words);

}  // namespace mp::pool
