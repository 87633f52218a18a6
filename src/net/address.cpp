#include "net/address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>

#include <multiprocessing/errors.hpp>

namespace mp::net {

namespace {

constexpr std::size_t longest_name = sizeof(sockaddr_un::sun_path) - 1;

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
    throw Error("\"" + std::string(text) + "\" is no address: " + why);
}

std::uint16_t parse_port(std::string_view text, std::string_view digits) {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || port > 65535)
        refuse(text, "after the last colon stands a port, a number from 0 to 65535");
    return static_cast<std::uint16_t>(port);
}

Address unix_address(std::string_view text, Address::Family family, std::string_view name) {
    if (name.empty()) refuse(text, "the name of the socket is missing");
    if (name.size() > longest_name)
        refuse(text, "the name of a Unix socket has at most " + std::to_string(longest_name) + " bytes");
    if (name.find('\0') != name.npos) refuse(text, "the name of the socket holds a zero byte");
    return {family, std::string(name), 0};
}

SocketAddress unix_socket_address(const Address& address) {
    SocketAddress result;
    auto* to = reinterpret_cast<sockaddr_un*>(&result.storage);
    to->sun_family = AF_UNIX;
    const std::size_t skipped = address.family == Address::Family::unix_abstract ? 1 : 0;
    std::memcpy(to->sun_path + skipped, address.name.data(), address.name.size());
    result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + address.name.size());
    return result;
}

bool numeric_address(const std::string& host, std::uint16_t port, std::vector<SocketAddress>& to) {
    SocketAddress result;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
    if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        result.size = sizeof *v4;
        to.push_back(result);
        return true;
    }
    result = {};
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
    if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        result.size = sizeof *v6;
        to.push_back(result);
        return true;
    }
    return false;
}

std::vector<SocketAddress> look_up(const Address& address) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(address.name.c_str(), nullptr, &hints, &found);
    if (error != 0) throw Error("cannot find the host \"" + address.name + "\": " + ::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, ::freeaddrinfo);
    std::vector<SocketAddress> result;
    for (const addrinfo* one = found; one; one = one->ai_next) {
        if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
        SocketAddress socket_address;
        std::memcpy(&socket_address.storage, one->ai_addr, one->ai_addrlen);
        socket_address.size = one->ai_addrlen;
        // In both families the port stands behind the family.
        reinterpret_cast<sockaddr_in*>(&socket_address.storage)->sin_port = htons(address.port);
        result.push_back(socket_address);
    }
    if (result.empty()) throw Error("the host \"" + address.name + "\" has no internet address");
    return result;
}

std::string text_of(const SocketAddress& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.family() == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
        ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        return Address{Address::Family::tcp, text, ntohs(v4->sin_port)}.to_string();
    }
    if (address.family() == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
        ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        return Address{Address::Family::tcp, text, ntohs(v6->sin6_port)}.to_string();
    }
    const auto* local = reinterpret_cast<const sockaddr_un*>(&address.storage);
    const std::size_t size = address.size - std::min<std::size_t>(address.size, offsetof(sockaddr_un, sun_path));
    if (address.family() != AF_UNIX || size == 0) return {};
    if (local->sun_path[0] == '\0') return '@' + std::string(local->sun_path + 1, size - 1);
    return std::string(local->sun_path, ::strnlen(local->sun_path, size));
}

}  // namespace

std::string Address::to_string() const {
    if (family == Family::unix_path) return name;
    if (family == Family::unix_abstract) return '@' + name;
    const std::string host = name.find(':') != name.npos ? '[' + name + ']' : name;
    return host + ':' + std::to_string(port);
}

Address parse_address(std::string_view text) {
    using Family = Address::Family;
    if (text.starts_with("unix:")) return unix_address(text, Family::unix_path, text.substr(5));
    if (text.starts_with('@')) return unix_address(text, Family::unix_abstract, text.substr(1));
    if (text.find('/') != text.npos) return unix_address(text, Family::unix_path, text);
    const auto colon = text.rfind(':');
    if (colon == text.npos) refuse(text, "write /path/of/a/socket, @name for an abstract Unix socket, or host:port");
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
        host = host.substr(1, host.size() - 2);
        if (host.find(':') == host.npos) refuse(text, "only an IPv6 address stands in brackets");
    } else if (host.find_first_of(":[]") != host.npos) {
        refuse(text, "an IPv6 address stands in brackets, as in [::1]:6000");
    }
    if (host.find('\0') != host.npos || host.size() > 253) refuse(text, "that is no name of a host");
    return {Family::tcp, std::string(host), parse_port(text, text.substr(colon + 1))};
}

std::vector<SocketAddress> socket_addresses(const Address& address, bool to_listen) {
    if (address.family != Address::Family::tcp) return {unix_socket_address(address)};
    std::vector<SocketAddress> result;
    if (address.name.empty() || address.name == "localhost") {
        numeric_address("127.0.0.1", address.port, result);
        if (!to_listen) numeric_address("::1", address.port, result);
    } else if (address.name == "*") {
        if (!to_listen) throw Error("\"*\" means every address of this host: it can be listened at, not connected to");
        numeric_address("0.0.0.0", address.port, result);
    } else if (!numeric_address(address.name, address.port, result)) {
        result = look_up(address);
    }
    return result;
}

base::Expected<std::string> own_address(int socket) {
    SocketAddress address;
    address.size = sizeof address.storage;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0)
        return base::last_error();
    return text_of(address);
}

std::string other_address(int socket) {
    SocketAddress address;
    address.size = sizeof address.storage;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) return {};
    return text_of(address);
}

}  // namespace mp::net
