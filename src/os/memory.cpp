#include "os/memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string_view>

#include "os/cgroup.hpp"

namespace mp::os {
namespace {

namespace fs = std::filesystem;
using Bytes = std::optional<std::uint64_t>;

/// The number in a file of one number; nothing for `max`.
Bytes number_in(const fs::path& path) {
    std::ifstream file(path);
    std::uint64_t number = 0;
    if (!(file >> number)) return std::nullopt;
    return number;
}

/// The number after `key` in a file of lines `key number`, with or without a colon.
Bytes number_of(const fs::path& path, std::string_view key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(key) || line.size() <= key.size()) continue;
        const char next = line[key.size()];
        if (next != ' ' && next != ':' && next != '\t') continue;
        const auto digits = line.find_first_of("0123456789", key.size());
        if (digits == std::string::npos) return std::nullopt;
        return std::strtoull(line.c_str() + digits, nullptr, 10);
    }
    return std::nullopt;
}

/// What the group may still take; nothing when it has no limit.
Bytes room_in(const CgroupDirectory& group) {
    const Bytes limit = number_in(group.path / (group.v2 ? "memory.max" : "memory.limit_in_bytes"));
    const Bytes used = number_in(group.path / (group.v2 ? "memory.current" : "memory.usage_in_bytes"));
    if (!limit || !used) return std::nullopt;
    const auto cache = number_of(group.path / "memory.stat", group.v2 ? "inactive_file" : "total_inactive_file");
    const std::uint64_t fixed = *used - std::min(*used, cache.value_or(0));
    return *limit - std::min(*limit, fixed);
}

}  // namespace

std::uint64_t available_memory(const fs::path& root) {
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    if (const auto kibibytes = number_of(root / "proc/meminfo", "MemAvailable")) least = *kibibytes * 1024;
    for (const CgroupDirectory& group : cgroup_directories("memory", root))
        if (const auto room = room_in(group)) least = std::min(least, *room);
    return least;
}

OomCounters OomCounters::now(const fs::path& root) {
    OomCounters now;
    for (const CgroupDirectory& group : cgroup_directories("memory", root)) {
        if (!group.own) continue;
        const fs::path file = group.path / (group.v2 ? "memory.events" : "memory.oom_control");
        if (const auto killed = number_of(file, "oom_kill")) now.counters_.push_back({file.string(), *killed});
    }
    if (now.counters_.empty()) {
        const fs::path file = root / "proc/vmstat";
        if (const auto killed = number_of(file, "oom_kill")) now.counters_.push_back({file.string(), *killed});
    }
    return now;
}

std::optional<std::string> OomCounters::evidence_since(const OomCounters& before) const {
    for (const Counter& counter : counters_) {
        for (const Counter& old : before.counters_) {
            if (old.file != counter.file || counter.killed <= old.killed) continue;
            return "oom_kill in " + counter.file + " went from " + std::to_string(old.killed) + " to " +
                   std::to_string(counter.killed);
        }
    }
    return std::nullopt;
}

}  // namespace mp::os
