/// \file
/// Sizes in bytes: `2_GiB`, `64_MiB`, `4_KiB`.
#pragma once

#include <cstdint>

namespace mp {

/// Visible after `using namespace mp;` as after `using namespace mp::literals;`.
inline namespace literals {

/// So many times 1024 bytes; more than 64 bits can count is refused by the compiler.
consteval std::uint64_t operator""_KiB(unsigned long long count) {
    return count <= (~0ULL >> 10) ? count << 10 : throw "a size of more bytes than 64 bits can count";
}
/// So many times 1024 KiB.
consteval std::uint64_t operator""_MiB(unsigned long long count) {
    return count <= (~0ULL >> 20) ? count << 20 : throw "a size of more bytes than 64 bits can count";
}
/// So many times 1024 MiB.
consteval std::uint64_t operator""_GiB(unsigned long long count) {
    return count <= (~0ULL >> 30) ? count << 30 : throw "a size of more bytes than 64 bits can count";
}

}  // namespace literals
}  // namespace mp
