// Where a listener listens: a Unix socket by path or abstract name, or a TCP host and port.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.hpp"

namespace mp::net {

struct Address {
    enum class Family { unix_path, unix_abstract, tcp };
    Family family = Family::tcp;
    std::string name;  ///< the path, the abstract name, or the host ("" and "localhost": loopback)
    std::uint16_t port = 0;

    /// As parse_address reads it: `/tmp/socket`, `@name`, `127.0.0.1:6000`, `[::1]:6000`.
    std::string to_string() const;
};

/// Throws mp::Error of one sentence for what is no address.
Address parse_address(std::string_view text);

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
};

/// What the kernel takes, best first. For a host name that is neither numeric nor `localhost` the system's resolver is
/// asked, which may take as long as it is set up to. Throws mp::Error when it knows no such host.
std::vector<SocketAddress> socket_addresses(const Address& address, bool to_listen);

/// The address of this end, or of the other, as text; empty for an unnamed Unix socket.
base::Expected<std::string> own_address(int socket);
std::string other_address(int socket);

}  // namespace mp::net
