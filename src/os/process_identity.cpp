#include "os/process_identity.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os/retry.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

namespace {

struct Status {
    bool known = false;
    bool exists = false;
    char state = '?';
    std::uint64_t start = 0;
};

Status status_of(std::uint64_t pid) {
    char path[48];
    std::snprintf(path, sizeof path, "/proc/%llu/stat", static_cast<unsigned long long>(pid));
    Status status;
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    if (!file) {
        status.known = errno == ENOENT && ::access("/proc/self/stat", R_OK) == 0;
        return status;
    }
    char text[1024];
    const auto size = retry([&] { return ::read(file.get(), text, sizeof text - 1); });
    if (size <= 0) {
        status.known = size == 0 || errno == ESRCH;
        return status;
    }
    text[size] = 0;
    // pid (name) state …; the name may hold anything, parentheses too. `start` is field 22, the 20th behind the name.
    const char* at = std::strrchr(text, ')');
    if (!at || at[1] == 0) return status;
    status.state = at[2];
    ++at;
    for (int field = 2; field < 22; ++field) {
        at = std::strchr(at, ' ');
        if (!at) return status;
        ++at;
    }
    status.start = std::strtoull(at, nullptr, 10);
    status.known = status.exists = true;
    return status;
}

}  // namespace

ProcessIdentity this_process() {
    // Relaxed: every thread would find the same. A fork notices by the pid that it is another process.
    static std::atomic<std::uint64_t> known_pid{0}, known_start{0};
    const auto pid = static_cast<std::uint64_t>(::getpid());
    if (known_pid.load(std::memory_order_acquire) != pid) {
        known_start.store(status_of(pid).start, std::memory_order_relaxed);
        known_pid.store(pid, std::memory_order_release);
    }
    return {pid, known_start.load(std::memory_order_relaxed)};
}

bool is_alive(const ProcessIdentity& process) {
    const Status status = status_of(process.pid);
    if (!status.known) return true;
    return status.exists && status.start == process.start && status.state != 'Z' && status.state != 'X';
}

}  // namespace mp::os
