// memcpy for the few words of a short message.
#pragma once

#include <cstddef>
#include <cstring>

namespace mp::transport {

/// As memcpy. Up to 128 bytes without a call: where a message costs 10 ns, the call and its choice of a way are 5 of
/// them.
inline void copy_short(std::byte* to, const std::byte* from, std::size_t size) {
    if (size > 128) {
        std::memcpy(to, from, size);
        return;
    }
    for (; size >= 32; size -= 32, to += 32, from += 32) std::memcpy(to, from, 32);
    if (size >= 16) {
        std::memcpy(to, from, 16);
        size -= 16, to += 16, from += 16;
    }
    if (size >= 8) {
        std::memcpy(to, from, 8);
        size -= 8, to += 8, from += 8;
    }
    for (; size != 0; --size) *to++ = *from++;
}

}  // namespace mp::transport
