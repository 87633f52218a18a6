/// \file
/// How many CPUs this process may use.
#pragma once

#include <multiprocessing/export.hpp>

namespace mp {

/// The number of CPUs that this process can really use, at least 1: the smaller of its affinity mask and, rounded up,
/// the smallest CPU quota of any control group above it (cgroup v1 and v2). Not the number of CPUs of the machine: a
/// container limited to one and a half CPUs gets 2.
///
/// The quota is read once per process; the affinity mask is asked for each time (a system call), so that a process
/// that was given other CPUs sees them. Never throws; what cannot be read does not limit. Safe from any thread.
MP_EXPORT unsigned cpu_count() noexcept;

}  // namespace mp
