#include "support/event.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

namespace mp::test {

Event::Event() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw std::system_error(errno, std::system_category(), "cannot create an event");
}

Event::~Event() { ::close(fd_); }

void Event::set() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t count = ::write(fd_, &one, sizeof one);
}

bool Event::wait(std::chrono::milliseconds patience) const {
    const auto limit = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now());
        pollfd event{fd_, POLLIN, 0};
        const int ready = ::poll(&event, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
        if (ready > 0) return true;
        if (ready == 0) return false;
    }
}

bool eventually(const std::function<bool()>& is_true, std::chrono::milliseconds patience) {
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (!is_true()) {
        if (std::chrono::steady_clock::now() >= limit) return is_true();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

bool is_running(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string stat;
    std::getline(in, stat);
    const auto close = stat.rfind(')');
    if (close == stat.npos || close + 2 >= stat.size()) return false;
    const char state = stat[close + 2];
    return state != 'Z' && state != 'X';
}

}  // namespace mp::test
