// Which process this is, without a system call.
#pragma once

#include <sys/types.h>

namespace mp::os {

/// getpid(), remembered; right also in children made by fork(). Nanoseconds instead of a system call's 100.
pid_t own_pid();

}  // namespace mp::os
