// How many CPUs this process may use: its affinity mask and the CPU quotas of the control groups above it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

namespace mp::os {

/// sched_getaffinity(2) of the caller, as the system call itself: fills `bytes` bytes of mask and returns how many were
/// written, or -1 with errno (EINVAL: the kernel's mask is longer).
using ReadMask = long (*)(std::size_t bytes, void* mask);

/// CPUs in the caller's affinity mask, whatever its length; at least 1. `read` is replaced in tests.
unsigned affinity_count(ReadMask read = nullptr);

/// The smallest CPU quota, rounded up to whole CPUs, of the process's control group and every ancestor of it that is
/// mounted somewhere. Nothing when there is no quota. `root` stands for "/" and is replaced in tests.
std::optional<unsigned> cgroup_cpu_quota(const std::filesystem::path& root = "/");

}  // namespace mp::os
