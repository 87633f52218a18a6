// How much memory there is to take, and whether the kernel killed for want of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mp::os {

/// Bytes that this process may still take: the smallest of the machine's available memory and the room in each control
/// group above it, caches that would be given up counted as room. A moment's value; the largest number when nothing
/// says. To be compared with before a large shared allocation: past the limit the kernel kills instead of refusing.
std::uint64_t available_memory(const std::filesystem::path& root = "/");

/// The kernel's counters of processes it killed for memory, as they stand: those of this process's own control group,
/// which count its members only, whatever limit was hit; the machine's where there is no such group.
class OomCounters {
  public:
    /// Reads them. Some tens of microseconds.
    static OomCounters now(const std::filesystem::path& root = "/");

    /// What shows that a process was killed for memory since `before`, as in `oom_kill in
    /// /sys/fs/cgroup/memory.events went from 0 to 1`; nothing when no counter moved. Together with a death by SIGKILL
    /// that is a fact about a child in the same group - unless several died at once.
    std::optional<std::string> evidence_since(const OomCounters& before) const;

  private:
    struct Counter {
        std::string file;
        std::uint64_t killed;
    };
    std::vector<Counter> counters_;
};

}  // namespace mp::os
