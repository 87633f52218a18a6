// What a fork server is asked for: a process, with everything that it begins with.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/expected.hpp"
#include "os/socket.hpp"
#include "process/boot.hpp"
#include "process/wire.hpp"

namespace mp::process {

/// One message with its descriptors: the fixed part and, up to max_inline_boot, the encoded Boot.
struct Packet {
    alignas(8) std::array<std::byte, wire::max_packet> bytes;
    std::size_t size = 0;
    std::vector<os::UniqueFd> descriptors;

    /// Waits for the next message. Its size is 0 at the end of the socket.
    base::Expected<void> receive(int socket);
    wire::Kind kind() const {
        wire::Kind value{};
        if (size >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    template <class T>
    bool read(T& value) const {
        if (size < sizeof value) return false;
        std::memcpy(&value, bytes.data(), sizeof value);
        return true;
    }
};
/// Not cleared: that would touch more pages than all the rest of a request.
inline std::unique_ptr<Packet> new_packet() { return std::make_unique_for_overwrite<Packet>(); }

template <class T>
base::Expected<void> send(int socket, const T& value, std::span<const int> descriptors = {}) {
    return os::send_message(socket, std::as_bytes(std::span(&value, 1)), descriptors);
}

/// A wire::Spawn taken apart: its descriptors by role, and the encoded Boot.
struct Order {
    wire::Spawn spawn;
    os::UniqueFd status;  // to the server only
    BootFds fds;
    std::vector<std::byte> boot;
};

/// Takes a packet, and the handles that came before it, apart; nothing when it is not well-formed.
std::optional<Order> take_order(Packet& packet, std::vector<os::UniqueFd> handles, bool with_status);

/// Method spawn: executes a copy of the program, which gets the order through the socket that is returned with its pid.
base::Expected<std::pair<pid_t, os::UniqueFd>> execute_order(Order& order);

/// In the new process: does what was ordered, and exits.
[[noreturn]] void run_order(Order order, bool is_snapshot);
/// The one order of a process that was made for it: `first` was received, and whatever else belongs to it comes from
/// the socket, which is closed then.
[[noreturn]] void run_only_order(os::UniqueFd socket, std::unique_ptr<Packet> first);

}  // namespace mp::process
