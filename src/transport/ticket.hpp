// The number that ties a message in shared memory to the packets with its descriptors in a socket.
#pragma once

#include <cstdint>

namespace mp::transport {

inline constexpr int ticket_bits = 40;  // of the word in the message; the rest: how many descriptors
inline constexpr std::uint64_t ticket_mask = (1ULL << ticket_bits) - 1;

inline constexpr std::uint64_t ticket_word(std::uint64_t ticket, std::uint64_t descriptors) {
    return ticket | descriptors << ticket_bits;
}
inline constexpr std::uint64_t ticket_of(std::uint64_t word) { return word & ticket_mask; }
inline constexpr std::uint64_t descriptors_of(std::uint64_t word) { return word >> ticket_bits; }

/// Whether a packet's ticket is of an earlier message than `ticket`. Its sender or receiver died then, and it can be
/// thrown away; one of a later message must stay where it is, though what belongs to `ticket` itself be lost.
inline constexpr bool is_before(std::uint64_t packet, std::uint64_t ticket) {
    return packet != ticket && ((ticket - packet) & ticket_mask) <= ticket_mask / 2;
}

}  // namespace mp::transport
