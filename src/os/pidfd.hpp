// A process held by descriptor: signals and waits that can never hit another process that got the same number.
#pragma once

#include <sys/types.h>

#include "base/expected.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

/// ENOSYS where the kernel (before 5.3) or a tool such as valgrind does not know the call; ESRCH when it is gone.
base::Expected<UniqueFd> open_pidfd(pid_t pid);

/// ESRCH when the process has ended and was reaped.
base::Expected<void> signal_pidfd(int pidfd, int signal);

}  // namespace mp::os
