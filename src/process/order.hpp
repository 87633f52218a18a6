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
    std::size_t size = 0;
    std::vector<os::UniqueFd> descriptors;
    alignas(8) std::array<std::byte, wire::max_packet> bytes;  // last: mostly its beginning is used, on the same page

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
    os::UniqueFd status;            // to a server only
    os::UniqueFd lifeline, report;  // not to a spare
    BootFds fds;
    std::vector<std::byte> boot;

    Boot decoded() const {
        serial::Reader reader(boot);
        return decode_boot(reader);
    }
};

/// What the orders of spares go through: each one's offer says which. No two that have not begun wait at the same.
template <class Fd>
using OrderSockets = std::array<Fd, 2>;

/// Sends one with its own descriptors and its handles. What a packet cannot hold of these goes before it, and is to be
/// forgotten when the rest cannot be sent.
base::Expected<void> send_order(int socket, std::span<const std::byte> packet, std::span<const int> own,
                                std::span<const serial::Handle> handles);

enum class Receiver { server, copy, spare };

/// Takes a packet, and the handles that came before it, apart; nothing when it is not well-formed.
std::optional<Order> take_order(Packet& packet, std::vector<os::UniqueFd> handles, Receiver receiver);

/// Of a copy that was executed for one order: `first` was received, and whatever else belongs to it comes from the
/// socket. Exits when that does not come.
Order receive_order(int socket, Packet& first);

/// Method spawn: executes a copy of the program, which gets the order through the socket that is returned with its pid.
base::Expected<std::pair<pid_t, os::UniqueFd>> execute_order(Order& order);

/// In a new process: does what was ordered, and exits.
[[noreturn]] void run_order(Order order, bool is_snapshot);

}  // namespace mp::process
