// A limit to the memory of one process: by a control group where one can be had, by the process's own limits otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/expected.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

/// Groups of the unified hierarchy below which others with a limit of memory may be made, as far as their files say: they
/// hand the memory controller down. From this process's own upwards.
std::vector<std::filesystem::path> memory_group_parents(const std::filesystem::path& root = "/");

/// A control group (version 2) with a limit, for one process and what that starts. Removed with the object, with whatever
/// is left in it.
class MemoryGroup {
  public:
    /// An error where this process may not make one.
    static base::Expected<MemoryGroup> make(const std::string& name, std::uint64_t limit,
                                            const std::filesystem::path& root = "/");
    MemoryGroup(MemoryGroup&& other) noexcept;
    MemoryGroup& operator=(MemoryGroup&& other) noexcept;
    ~MemoryGroup();

    /// What a process writes a 0 into to become a member.
    const UniqueFd& members() const { return members_; }
    /// What shows that the kernel killed a member for passing the limit; nothing when it did not.
    std::optional<std::string> evidence() const;

  private:
    MemoryGroup(std::filesystem::path path, UniqueFd members) : path_(std::move(path)), members_(std::move(members)) {}
    void remove() noexcept;

    std::filesystem::path path_;
    UniqueFd members_;
};

/// Lets the kernel refuse this process more than `limit` bytes of private writable memory (RLIMIT_DATA: heap, anonymous
/// mappings and thread stacks, touched or not; not shared mappings, program code or what is mapped read-only). Processes
/// that it starts inherit the limit, each for itself. When `operator new` is refused, `refused` becomes 1 before
/// std::bad_alloc is thrown, unless the program sets a new-handler of its own.
base::Expected<void> limit_own_data(std::uint64_t limit, std::atomic<std::uint32_t>* refused);

}  // namespace mp::os
