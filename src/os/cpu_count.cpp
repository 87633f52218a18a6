#include "os/cpu_count.hpp"

#include <multiprocessing/cpu_count.hpp>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace mp::os {
namespace {

using Names = std::vector<std::string>;

long read_mask(std::size_t bytes, void* mask) { return ::syscall(SYS_sched_getaffinity, 0, bytes, mask); }

Names split_at(std::string_view text, char separator) {
    Names parts;
    while (!text.empty()) {
        const auto end = std::min(text.find(separator), text.size());
        if (end > 0) parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

bool contains(const Names& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// mountinfo writes blank, tab, newline and backslash as \ and three octal digits.
std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto octal = [&](std::size_t k) { return k < text.size() && text[k] >= '0' && text[k] <= '7'; };
        if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
            plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

enum class Hierarchy { other, v1_cpu, v2 };

struct Mount {
    Hierarchy hierarchy = Hierarchy::other;
    Names shown;        // which control group the mount point shows: the names of its path
    std::string point;  // where
};

/// The mounts that show CPU quotas. A mount hides an earlier one on the same point.
std::vector<Mount> cgroup_mounts(const std::filesystem::path& root) {
    std::map<std::string, Mount> by_point;
    std::ifstream file(root / "proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        // 31 23 0:28 /shown /point rw,relatime [optional fields] - type source super,options
        const auto dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        const Names left = split_at(std::string_view(line).substr(0, dash), ' ');
        const Names right = split_at(std::string_view(line).substr(dash + 3), ' ');
        if (left.size() < 5 || right.empty()) continue;
        Mount mount{Hierarchy::other, split_at(unescape(left[3]), '/'), unescape(left[4])};
        if (right.front() == "cgroup2") mount.hierarchy = Hierarchy::v2;
        if (right.front() == "cgroup" && contains(split_at(right.back(), ','), "cpu"))
            mount.hierarchy = Hierarchy::v1_cpu;
        const std::string point = mount.point;
        by_point[point] = std::move(mount);
    }
    std::vector<Mount> mounts;
    for (auto& [point, mount] : by_point)
        if (mount.hierarchy != Hierarchy::other) mounts.push_back(std::move(mount));
    return mounts;
}

struct Membership {
    Hierarchy hierarchy;
    Names group;  // the names of the group's path, seen from the root of the cgroup namespace
};

std::vector<Membership> memberships(const std::filesystem::path& root) {
    std::vector<Membership> found;
    std::ifstream file(root / "proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        // 4:cpu,cpuacct:/path, and for version 2: 0::/path. The path may contain colons.
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const auto controllers = std::string_view(line).substr(first + 1, second - first - 1);
        Names group = split_at(std::string_view(line).substr(second + 1), '/');
        if (controllers.empty())
            found.push_back({Hierarchy::v2, std::move(group)});
        else if (contains(split_at(controllers, ','), "cpu"))
            found.push_back({Hierarchy::v1_cpu, std::move(group)});
    }
    return found;
}

/// The way from what the mount shows down to the group; nothing when the mount shows no ancestor of it.
std::optional<Names> way_down(const Names& shown, const Names& group) {
    const auto up = [](const std::string& name) { return name == ".."; };
    if (shown.size() <= group.size() && std::equal(shown.begin(), shown.end(), group.begin())) {
        Names rest(group.begin() + static_cast<std::ptrdiff_t>(shown.size()), group.end());
        if (std::any_of(rest.begin(), rest.end(), up)) return std::nullopt;  // outside of what the mount shows
        return rest;
    }
    // A mount from outside the namespace ("/../.."): an ancestor, but the names between it and us are not known.
    if (std::all_of(shown.begin(), shown.end(), up)) return Names();
    return std::nullopt;
}

std::optional<std::string> first_line(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    return line;
}

std::optional<unsigned> whole_cpus(const std::string& quota, const std::string& period) {
    std::int64_t q = 0, p = 0;
    if (!(std::istringstream(quota) >> q) || !(std::istringstream(period) >> p)) return std::nullopt;  // "max"
    if (q <= 0 || p <= 0) return std::nullopt;                                                         // -1: none
    const std::int64_t cpus = q / p + (q % p != 0 ? 1 : 0);
    return static_cast<unsigned>(std::min<std::int64_t>(cpus, std::numeric_limits<int>::max()));
}

std::optional<unsigned> quota_in(const std::filesystem::path& directory, Hierarchy hierarchy) {
    if (hierarchy == Hierarchy::v2) {
        const auto line = first_line(directory / "cpu.max");
        if (!line) return std::nullopt;
        const Names words = split_at(*line, ' ');
        return words.size() < 2 ? std::nullopt : whole_cpus(words[0], words[1]);
    }
    const auto quota = first_line(directory / "cpu.cfs_quota_us");
    const auto period = first_line(directory / "cpu.cfs_period_us");
    return quota && period ? whole_cpus(*quota, *period) : std::nullopt;
}

}  // namespace

unsigned affinity_count(ReadMask read) {
    if (!read) read = read_mask;
    // The kernel refuses a mask shorter than its own; 2^17 bytes are a million CPUs.
    for (std::size_t bytes = 1024; bytes <= (std::size_t{1} << 17); bytes *= 4) {
        std::vector<std::uint64_t> mask(bytes / sizeof(std::uint64_t));
        const long written = read(bytes, mask.data());
        if (written < 0) {
            if (errno == EINVAL) continue;
            break;
        }
        unsigned count = 0;
        for (const std::uint64_t word : mask) count += static_cast<unsigned>(std::popcount(word));
        return std::max(1u, count);
    }
    return static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

std::optional<unsigned> cgroup_cpu_quota(const std::filesystem::path& root) {
    std::optional<unsigned> smallest;
    const auto mounts = cgroup_mounts(root);
    for (const Membership& member : memberships(root)) {
        for (const Mount& mount : mounts) {
            if (mount.hierarchy != member.hierarchy) continue;
            const auto way = way_down(mount.shown, member.group);
            if (!way) continue;
            auto directory = root / std::filesystem::path(mount.point).relative_path();
            auto below = way->begin();
            while (true) {  // from the highest visible ancestor down to the group itself
                if (const auto quota = quota_in(directory, mount.hierarchy))
                    smallest = smallest ? std::min(*smallest, *quota) : *quota;
                if (below == way->end()) break;
                directory /= *below++;
            }
        }
    }
    return smallest;
}

}  // namespace mp::os

namespace mp {

unsigned cpu_count() noexcept {
    // No memory for a path is no reason to fail a question that always has the answer "at least one".
    try {
        static const std::optional<unsigned> quota = os::cgroup_cpu_quota();
        const unsigned affinity = os::affinity_count();
        return std::max(1u, quota ? std::min(*quota, affinity) : affinity);
    } catch (...) {
        return 1;
    }
}

}  // namespace mp
