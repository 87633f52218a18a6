// Finds the status pages of other processes by the name that /proc shows for their descriptors.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>

#include <multiprocessing/status.hpp>

#include "os/retry.hpp"
#include "os/unique_fd.hpp"
#include "trace/status_page.hpp"
#include "trace/units.hpp"

namespace mp {
namespace {

namespace fs = std::filesystem;

constexpr off_t largest_page = 64 << 20;

pid_t number_of(const std::string& name) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    return error == std::errc() && end == name.data() + name.size() ? pid : 0;
}

// Read and not mapped: a file that its owner cuts short is then merely short.
std::vector<std::byte> contents(int fd, off_t size) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    std::size_t have = 0;
    while (have < bytes.size()) {
        const auto got =
            os::retry([&] { return ::pread(fd, bytes.data() + have, bytes.size() - have, static_cast<off_t>(have)); });
        if (got <= 0) break;
        have += static_cast<std::size_t>(got);
    }
    bytes.resize(have);
    return bytes;
}

std::string command_line(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
    std::string text(256, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    while (!text.empty() && text.back() == '\0') text.pop_back();
    for (char& byte : text)
        if (static_cast<unsigned char>(byte) < ' ' || byte == '\x7f') byte = ' ';
    return trace::shortened(text, 120);
}

struct Found {
    RunningPool pool;
    bool by_owner = false;  // seen in the process that the page names
};

void look_into(pid_t pid, std::map<std::pair<dev_t, ino_t>, Found>& found) {
    std::error_code error;
    for (fs::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code gone;
        const std::string target = fs::read_symlink(entry->path(), gone).string();
        if (!target.starts_with(std::string("/memfd:") + trace::status_file_name)) continue;
        const os::UniqueFd file(::open(entry->path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        struct stat status{};
        if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > largest_page)
            continue;
        const std::pair key(status.st_dev, status.st_ino);
        const auto known = found.find(key);
        if (known != found.end() && known->second.by_owner) continue;
        pid_t owner = 0;
        const auto bytes = contents(file.get(), status.st_size);
        auto stats = trace::read_status(bytes, trace::now(), &owner);
        if (!stats || (known != found.end() && owner != pid)) continue;
        found.insert_or_assign(key, Found{{pid, command_line(pid), std::move(*stats)}, owner == pid});
    }
}

}  // namespace

std::vector<RunningPool> running_pools(pid_t only) {
    std::map<std::pair<dev_t, ino_t>, Found> found;
    std::error_code error;
    if (only != 0) {
        look_into(only, found);
    } else {
        for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error))
            if (const pid_t pid = number_of(entry->path().filename().string())) look_into(pid, found);
    }
    std::vector<RunningPool> pools;
    for (auto& [key, one] : found) pools.push_back(std::move(one.pool));
    std::ranges::stable_sort(pools, {}, &RunningPool::pid);
    return pools;
}

}  // namespace mp
