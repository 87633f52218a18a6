#include "process/order.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "os/mapping.hpp"
#include "os/retry.hpp"
#include "process/execute.hpp"

namespace mp::process {

base::Expected<void> Packet::receive(int socket) {
    auto received = os::receive_message(socket, bytes);
    if (!received) return received.error();
    size = received->size;
    descriptors = std::move(received->descriptors);
    return {};
}

std::optional<Order> take_order(Packet& packet, std::vector<os::UniqueFd> handles, bool with_status) {
    Order order;
    if (!packet.read(order.spawn)) return std::nullopt;
    auto flag = [&](std::uint32_t bit) { return (order.spawn.flags & bit) != 0; };
    std::size_t next = 0;
    auto& given = packet.descriptors;
    auto take = [&](bool present) {
        return present && next < given.size() ? std::move(given[next++]) : os::UniqueFd();
    };
    order.status = take(with_status);
    order.fds.lifeline = take(true);
    order.fds.report = take(true);
    order.fds.directory = take(true);
    order.fds.output = take(flag(wire::Spawn::has_output));
    order.fds.error = take(flag(wire::Spawn::has_error));
    const os::UniqueFd file = take(flag(wire::Spawn::boot_in_file));
    for (; next < given.size(); ++next) handles.push_back(std::move(given[next]));
    if (!order.fds.directory || handles.size() != order.spawn.handle_count) return std::nullopt;
    for (auto& handle : handles) order.fds.handles.emplace_back(handle.release());

    order.boot.resize(order.spawn.boot_size);
    if (file) {
        std::size_t done = 0;
        while (done < order.boot.size()) {
            const ssize_t count = os::retry([&] {
                return ::pread(file.get(), order.boot.data() + done, order.boot.size() - done,
                               static_cast<off_t>(done));
            });
            if (count <= 0) return std::nullopt;
            done += static_cast<std::size_t>(count);
        }
    } else {
        if (packet.size != sizeof order.spawn + order.boot.size()) return std::nullopt;
        std::memcpy(order.boot.data(), packet.bytes.data() + sizeof order.spawn, order.boot.size());
    }
    return order;
}

base::Expected<std::pair<pid_t, os::UniqueFd>> execute_order(Order& order) {
    auto ends = os::socket_pair();
    if (!ends) return ends.error();
    auto pid = execute_copy(ends->second.get());
    if (!pid) return pid.error();
    ends->second.reset();
    wire::Spawn spawn = order.spawn;
    spawn.kind = wire::Kind::run;
    spawn.flags |= wire::Spawn::boot_in_file;
    auto file = os::memory_file("multiprocessing boot", order.boot.size());
    if (!file) return file.error();
    if (::pwrite(file->get(), order.boot.data(), order.boot.size(), 0) != static_cast<ssize_t>(order.boot.size()))
        return base::error_of(ENOMEM);
    std::vector<int> fds{order.fds.lifeline.get(), order.fds.report.get(), order.fds.directory.get()};
    if (order.fds.output) fds.push_back(order.fds.output.get());
    if (order.fds.error) fds.push_back(order.fds.error.get());
    fds.push_back(file->get());
    std::vector<int> handles;
    for (const auto& handle : order.fds.handles) handles.push_back(handle.fd());
    const wire::Kind more = wire::Kind::handles;
    constexpr std::size_t batch = 200;
    std::size_t sent = 0;
    for (; handles.size() - sent > batch; sent += batch)
        if (auto done = send(ends->first.get(), more, std::span(handles).subspan(sent, batch)); !done)
            return done.error();
    fds.insert(fds.end(), handles.begin() + static_cast<std::ptrdiff_t>(sent), handles.end());
    if (auto done = send(ends->first.get(), spawn, fds); !done) return done.error();
    return std::pair(*pid, std::move(ends->first));
}

void run_order(Order order, bool is_snapshot) {
    Boot boot;
    {
        serial::Reader reader(order.boot);
        boot = decode_boot(reader);
    }
    run_booted(std::move(boot), std::move(order.fds), is_snapshot);
}

void run_only_order(os::UniqueFd socket, std::unique_ptr<Packet> packet) {
    std::vector<os::UniqueFd> handles;
    while (packet->kind() == wire::Kind::handles) {
        for (auto& fd : packet->descriptors) handles.push_back(std::move(fd));
        if (!packet->receive(socket.get()) || packet->size == 0) std::_Exit(255);
    }
    auto order = take_order(*packet, std::move(handles), false);
    socket.reset();
    if (!order) std::_Exit(255);
    packet.reset();
    run_order(std::move(*order), false);
}

}  // namespace mp::process
