#include "process/order.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "os/lifeline.hpp"
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

base::Expected<void> send_order(int socket, std::span<const std::byte> packet, std::span<const int> own,
                                std::span<const serial::Handle> handles) {
    std::vector<int> descriptors;
    std::size_t sent = 0;
    // For example ETOOMANYREFS: the kernel limits how many descriptors are on their way.
    const auto give_up = [&](std::error_code error) {
        if (sent > 0) static_cast<void>(send(socket, wire::Kind::forget));
        return error;
    };
    const auto add = [&](std::size_t count) {
        for (const auto& handle : handles.subspan(sent, count)) descriptors.push_back(handle.fd());
    };
    for (; handles.size() - sent > wire::max_handles; sent += wire::max_handles) {
        descriptors.clear();
        add(wire::max_handles);
        if (const auto done = send(socket, wire::Kind::handles, descriptors); !done) return give_up(done.error());
    }
    descriptors.assign(own.begin(), own.end());
    add(handles.size() - sent);
    if (const auto done = os::send_message(socket, packet, descriptors); !done) return give_up(done.error());
    return {};
}

std::optional<Order> take_order(Packet& packet, std::vector<os::UniqueFd> handles, Receiver receiver) {
    Order order;
    if (!packet.read(order.spawn)) return std::nullopt;
    auto flag = [&](std::uint32_t bit) { return (order.spawn.flags & bit) != 0; };
    std::size_t next = 0;
    auto& given = packet.descriptors;
    auto take = [&](bool present) {
        return present && next < given.size() ? std::move(given[next++]) : os::UniqueFd();
    };
    order.status = take(receiver == Receiver::server);
    order.lifeline = take(receiver != Receiver::spare);
    order.report = take(receiver != Receiver::spare);
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
    std::vector<int> own{order.lifeline.get(), order.report.get(), order.fds.directory.get()};
    if (order.fds.output) own.push_back(order.fds.output.get());
    if (order.fds.error) own.push_back(order.fds.error.get());
    own.push_back(file->get());
    const auto packet = std::as_bytes(std::span(&spawn, 1));
    if (auto done = send_order(ends->first.get(), packet, own, order.fds.handles); !done) return done.error();
    return std::pair(*pid, std::move(ends->first));
}

Order receive_order(int socket, Packet& packet) {
    std::vector<os::UniqueFd> handles;
    while (packet.kind() == wire::Kind::handles) {
        for (auto& fd : packet.descriptors) handles.push_back(std::move(fd));
        if (!packet.receive(socket) || packet.size == 0) std::_Exit(255);
    }
    auto order = take_order(packet, std::move(handles), Receiver::copy);
    if (!order) std::_Exit(255);
    return *std::move(order);
}

void run_order(Order order, bool is_snapshot) {
    auto report = os::Mapping::shared(order.report.get(), sizeof(ReportPage));
    if (!report) std::_Exit(255);
    order.report.reset();
    if (!begin(*reinterpret_cast<ReportPage*>(report->data()))) std::_Exit(255);
    // Not before that: binding is a property of the lifeline's end, which one that was started in its place has, too.
    const auto bound = os::bind_lifeline(order.lifeline.release());
    if (bound && !*bound) std::_Exit(255);  // the owner has gone already
    run_booted(order.decoded(), *std::move(report), std::move(order.fds), is_snapshot);
}

}  // namespace mp::process
