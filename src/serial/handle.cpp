#include <multiprocessing/detail/serial_handle.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include <multiprocessing/errors.hpp>

namespace mp::serial {

Handle::Handle(int fd_to_own) {
    if (fd_to_own < 0) {
        return;
    }
    int* fd = nullptr;
    const auto close_it = [value = fd_to_own](const int* owned) {
        ::close(value);
        delete owned;
    };
    try {
        fd = std::make_unique<int>(fd_to_own).release();
    } catch (...) {
        ::close(fd_to_own);
        throw;
    }
    fd_ = std::shared_ptr<const int>(fd, close_it);  // runs the deleter when it cannot allocate
}

Handle Handle::duplicate(int fd) {
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (copy < 0) {
        throw SystemError({errno, std::system_category()}, "cannot duplicate descriptor " + std::to_string(fd));
    }
    return Handle(copy);
}

}  // namespace mp::serial
