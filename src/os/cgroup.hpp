// Where this process's control groups keep their files: both versions, every level that can be seen.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace mp::os {

struct CgroupDirectory {
    std::filesystem::path path;
    bool v2 = false;   ///< of the unified hierarchy; otherwise of version 1
    bool own = false;  ///< the group itself, or its closest ancestor that can be seen; otherwise a level above
};

/// The group and its ancestors in which `controller` (`cpu`, `memory`) may have files, from the top down; those of the
/// unified hierarchy whether the controller is enabled there or not. Empty where no cgroup file system is mounted.
/// `root` is for tests.
std::vector<CgroupDirectory> cgroup_directories(std::string_view controller, const std::filesystem::path& root = "/");

}  // namespace mp::os
