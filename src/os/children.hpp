// The children of this process, and the end of all of them.
#pragma once

#include <sys/types.h>

#include <vector>

namespace mp::os {

/// Those the kernel lists at this moment, adopted orphans and zombies included.
std::vector<pid_t> children();

}  // namespace mp::os
