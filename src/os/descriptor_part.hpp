// The part of a socket's message in which descriptors travel (SCM_RIGHTS).
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "os/unique_fd.hpp"

namespace mp::os {

/// The most descriptors that the kernel takes in one message (SCM_MAX_FD).
inline constexpr std::size_t max_descriptors_a_message = 253;

/// Memory for that part of one message; must live as long as the `msghdr`.
class DescriptorPart {
  public:
    DescriptorPart() noexcept {}
    DescriptorPart(const DescriptorPart&) = delete;
    DescriptorPart& operator=(const DescriptorPart&) = delete;

    /// Before sendmsg: copies of these go along, at most max_descriptors_a_message. With none the message has no such part.
    void attach(msghdr& message, std::span<const int> descriptors) {
        if (descriptors.empty()) return;
        message.msg_control = control_;
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        std::memset(control_, 0, message.msg_controllen);
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }

    /// Before recvmsg, to be called with MSG_CMSG_CLOEXEC.
    void expect(msghdr& message) {
        message.msg_control = control_;
        message.msg_controllen = sizeof control_;
    }
    /// After recvmsg: appends the descriptors that came along, none with the number of a standard stream. False when some
    /// were lost because this process may not have more.
    static bool take(msghdr& message, std::vector<UniqueFd>& to) {
        bool all = !(message.msg_flags & MSG_CTRUNC);
        for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
            if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
            const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int fd;
                std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
                if (UniqueFd clear = clear_of_streams(UniqueFd(fd))) to.push_back(std::move(clear));
                else all = false;
            }
        }
        return all;
    }

  private:
    alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int) * max_descriptors_a_message)];  // left uninitialised
};

}  // namespace mp::os
