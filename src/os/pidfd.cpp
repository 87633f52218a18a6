#include "os/pidfd.hpp"

#include <sys/syscall.h>

namespace mp::os {

base::Expected<UniqueFd> open_pidfd(pid_t pid) {
    UniqueFd fd = clear_of_streams(UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
    if (!fd) return base::last_error();
    return fd;
}

base::Expected<void> signal_pidfd(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) return base::last_error();
    return {};
}

}  // namespace mp::os
