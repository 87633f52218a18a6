// Counts what the process it is linked into does: memory it asks for, bytes it copies. The program's own malloc, memcpy and
// memmove stand before those of libc, for the library and libstdc++ too.
#pragma once

#include <cstdint>

namespace mp::test {

/// Calls of malloc and its kin so far, by the calling thread. Zero for ever where a sanitizer has its own.
std::uint64_t allocations();
/// Bytes that memcpy and memmove have moved so far in the calling process. Copies whose size the compiler knows are left
/// out; these are small.
std::uint64_t bytes_copied();

}  // namespace mp::test
