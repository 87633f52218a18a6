// What the system says about a process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace top {

struct Usage {
    double cpu_seconds = 0;
    std::uint64_t resident = 0;  ///< bytes
};

/// Nothing when there is no such process.
std::optional<Usage> usage_of(pid_t pid);

/// Reads the contents of /proc/PID/stat; nothing when they are something else.
std::optional<Usage> parse_stat(const std::string& stat);

}  // namespace top
