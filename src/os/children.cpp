#include "os/children.hpp"

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

namespace mp::os {

namespace {

// For kernels without /proc/PID/task/TID/children: the fourth field of every /proc/PID/stat is the parent.
std::vector<pid_t> children_by_scan() {
    std::vector<pid_t> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), &::closedir);
    if (!proc) return found;
    while (const dirent* entry = ::readdir(proc.get())) {
        const auto pid = static_cast<pid_t>(std::atoi(entry->d_name));
        if (pid == 0) continue;
        std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
        std::string line;
        if (!std::getline(file, line)) continue;
        // The second field is the name in parentheses, which may hold anything: count from the last one.
        const auto end = line.rfind(')');
        if (end == std::string::npos || end + 4 > line.size()) continue;
        if (std::atoi(line.c_str() + end + 4) == ::getpid()) found.push_back(pid);
    }
    return found;
}

}  // namespace

std::vector<pid_t> children() {
    std::vector<pid_t> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> tasks(::opendir("/proc/self/task"), &::closedir);
    if (!tasks) return children_by_scan();
    while (const dirent* entry = ::readdir(tasks.get())) {
        if (entry->d_name[0] == '.') continue;
        std::ifstream file(std::string("/proc/self/task/") + entry->d_name + "/children");
        if (!file) return children_by_scan();
        for (pid_t pid; file >> pid;) found.push_back(pid);
    }
    return found;
}

}  // namespace mp::os
