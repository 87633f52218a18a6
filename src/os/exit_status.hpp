// From what the kernel says about a dead child to an ExitStatus.
#pragma once

#include <sys/resource.h>

#include <multiprocessing/exit_status.hpp>

#include "os/crash_report.hpp"

namespace mp::os {

/// `code` and `status`: si_code (CLD_EXITED, CLD_KILLED, CLD_DUMPED) and si_status as waitid reports them. `report` may
/// be null; it counts only when its signal is the one that ended the process.
ExitStatus make_exit_status(int code, int status, const rusage& usage, const CrashReport* report = nullptr);

/// The same from the status of wait4.
ExitStatus make_exit_status(int wait_status, const rusage& usage, const CrashReport* report = nullptr);

}  // namespace mp::os
