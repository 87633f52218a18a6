#include "os/memory_room.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace mp::os {
namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// The number that follows `key` at the start of a line.
std::optional<std::uint64_t> field(const std::filesystem::path& path, const std::string& key) {
    std::ifstream file(path);
    for (std::string word; file >> word; file.ignore(unlimited >> 1, '\n')) {
        std::uint64_t value = 0;
        if (word == key && file >> value) return value;
    }
    return std::nullopt;
}

std::optional<std::uint64_t> number(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    if (file >> value) return value;
    return std::nullopt;  // missing, or "max"
}

struct Names {
    const char* limit;
    const char* usage;
    const char* cache;
};

/// The least room of the group and all its ancestors below `mount`.
std::uint64_t group_room(const std::filesystem::path& mount, std::filesystem::path group, const Names& names) {
    std::uint64_t room = unlimited;
    for (;;) {
        const auto folder = mount / group;
        const auto limit = number(folder / names.limit);
        const auto usage = number(folder / names.usage);
        if (limit && usage) {
            const std::uint64_t cache = field(folder / "memory.stat", names.cache).value_or(0);
            const std::uint64_t taken = *usage > cache ? *usage - cache : 0;
            room = std::min(room, *limit > taken ? *limit - taken : 0);
        }
        if (group.empty()) return room;
        group = group.parent_path();
    }
}

}  // namespace

std::uint64_t memory_room(const std::filesystem::path& root) {
    std::uint64_t room = unlimited;
    if (const auto kibibytes = field(root / "proc/meminfo", "MemAvailable:")) room = *kibibytes * 1024;
    std::ifstream groups(root / "proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        // "0::/a/b" for version 2, "7:memory:/a/b" for version 1.
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const auto group = std::filesystem::path(line.substr(second + 1)).relative_path();
        if (controllers == ",,") {
            room = std::min(room, group_room(root / "sys/fs/cgroup", group,
                                             {"memory.max", "memory.current", "inactive_file"}));
        } else if (controllers.find(",memory,") != std::string::npos) {
            room = std::min(room, group_room(root / "sys/fs/cgroup/memory", group,
                                             {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                              "total_inactive_file"}));
        }
    }
    return room;
}

}  // namespace mp::os
