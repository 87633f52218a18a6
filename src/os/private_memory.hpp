// How much memory this process has for itself, and how much it may still map.
#pragma once

#include <cstdint>
#include <optional>

namespace mp::os {

/// Bytes of physical memory that it shares with no file and no shared memory; 0 when that cannot be told.
std::uint64_t private_memory();

/// Bytes of address space that it may still map under its limit (RLIMIT_AS); nothing where there is none.
std::optional<std::uint64_t> address_space_left();

}  // namespace mp::os
