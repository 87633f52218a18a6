// How much memory this process has for itself.
#pragma once

#include <cstdint>

namespace mp::os {

/// Bytes of physical memory that it shares with no file and no shared memory; 0 when that cannot be told.
std::uint64_t private_memory();

}  // namespace mp::os
