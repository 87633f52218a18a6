// Packs and unpacks a value, inside the process or by way of a socket as between processes.
#pragma once

#include <multiprocessing/serialize.hpp>

#include <sys/socket.h>

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <vector>

namespace mp::test {

template <class T>
T round_trip(const T& value) {
    serial::Writer writer;
    serial::encode(writer, value);
    serial::Reader reader(writer.bytes(), writer.handles());
    T result = serial::decode<T>(reader);
    reader.finish();
    return result;
}

/// A socket over which values and their handles are sent one by one: what the process layer does.
class Wire {
  public:
    Wire() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_), 0); }
    ~Wire() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    Wire(const Wire&) = delete;

    template <class T>
    void send(const T& value) {
        serial::Writer writer;
        serial::encode(writer, value);
        char control[CMSG_SPACE(16 * sizeof(int))] = {};
        char filler = 0;
        iovec parts[2] = {{&filler, 1}, {const_cast<std::byte*>(writer.bytes().data()), writer.bytes().size()}};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        const auto handles = writer.handles();
        if (!handles.empty()) {
            message.msg_control = control;
            message.msg_controllen = CMSG_SPACE(handles.size() * sizeof(int));
            auto* header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(handles.size() * sizeof(int));
            for (std::size_t i = 0; i < handles.size(); ++i) {
                const int fd = handles[i].fd();
                std::memcpy(CMSG_DATA(header) + i * sizeof fd, &fd, sizeof fd);
            }
        }
        EXPECT_GE(::sendmsg(ends_[0], &message, MSG_NOSIGNAL), 1);
    }

    template <class T>
    T receive() {
        char control[CMSG_SPACE(16 * sizeof(int))] = {};
        std::vector<std::byte> bytes(65536);
        char filler = 0;
        iovec parts[2] = {{&filler, 1}, {bytes.data(), bytes.size()}};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const auto size = ::recvmsg(ends_[1], &message, MSG_CMSG_CLOEXEC);
        EXPECT_GE(size, 1);
        std::vector<serial::Handle> handles;
        for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
            for (std::size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
                int fd;
                std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
                handles.emplace_back(fd);
            }
        }
        serial::Reader reader(std::span<const std::byte>(bytes).first(static_cast<std::size_t>(size - 1)), handles);
        T result = serial::decode<T>(reader);
        reader.finish();
        return result;
    }

  private:
    int ends_[2];
};

}  // namespace mp::test
