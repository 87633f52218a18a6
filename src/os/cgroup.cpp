#include "os/cgroup.hpp"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace mp::os {
namespace {

using Names = std::vector<std::string>;

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

enum class Hierarchy { other, v1, v2 };

struct Mount {
    Hierarchy hierarchy = Hierarchy::other;
    Names shown;        // which control group the mount point shows: the names of its path
    std::string point;  // where
};

/// The mounts that show the controller. A mount hides an earlier one on the same point.
std::vector<Mount> cgroup_mounts(std::string_view controller, const std::filesystem::path& root) {
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
        if (right.front() == "cgroup" && contains(split_at(right.back(), ','), controller))
            mount.hierarchy = Hierarchy::v1;
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

std::vector<Membership> memberships(std::string_view controller, const std::filesystem::path& root) {
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
        else if (contains(split_at(controllers, ','), controller))
            found.push_back({Hierarchy::v1, std::move(group)});
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

}  // namespace

std::vector<CgroupDirectory> cgroup_directories(std::string_view controller, const std::filesystem::path& root) {
    std::vector<CgroupDirectory> directories;
    const auto mounts = cgroup_mounts(controller, root);
    for (const Membership& member : memberships(controller, root)) {
        for (const Mount& mount : mounts) {
            if (mount.hierarchy != member.hierarchy) continue;
            const auto way = way_down(mount.shown, member.group);
            if (!way) continue;
            auto directory = root / std::filesystem::path(mount.point).relative_path();
            auto below = way->begin();
            while (true) {  // from the highest visible ancestor down to the group itself
                const bool own = below == way->end();
                directories.push_back({directory, mount.hierarchy == Hierarchy::v2, own});
                if (own) break;
                directory /= *below++;
            }
        }
    }
    return directories;
}

}  // namespace mp::os
