// memcpy for the few words of a short message.
#pragma once

#include <cstddef>
#include <cstring>

namespace mp::transport {

namespace internal {
/// From `half` to twice as many bytes: the first and the last `half`, which may overlap.
template <std::size_t half>
inline void copy_both_ends(std::byte* to, const std::byte* from, std::size_t size) {
    std::memcpy(to, from, half);
    std::memcpy(to + size - half, from + size - half, half);
}
}  // namespace internal

/// As memcpy. Up to 128 bytes without a call and in few instructions: where a message costs 10 ns, the call and its choice
/// of a way are 5 of them.
inline void copy_short(std::byte* to, const std::byte* from, std::size_t size) {
    if (size > 128) std::memcpy(to, from, size);
    else if (size > 64) internal::copy_both_ends<64>(to, from, size);
    else if (size > 32) internal::copy_both_ends<32>(to, from, size);
    else if (size > 16) internal::copy_both_ends<16>(to, from, size);
    else if (size >= 8) internal::copy_both_ends<8>(to, from, size);
    else
        for (; size != 0; --size) *to++ = *from++;
}

}  // namespace mp::transport
