#include "os/memory_limit.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <new>
#include <system_error>

#include "os/cgroup.hpp"

namespace mp::os {
namespace {

namespace fs = std::filesystem;

base::Expected<void> write_file(const fs::path& path, const std::string& text) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return base::last_error();
    return {};
}

// The new-handler has nowhere else to get it from. Written before the handler is in place.
std::atomic<std::uint32_t>* refusals = nullptr;

[[noreturn]] void on_refusal() {
    refusals->store(1, std::memory_order_relaxed);
    throw std::bad_alloc();
}

}  // namespace

std::vector<fs::path> memory_group_parents(const fs::path& root) {
    std::vector<fs::path> parents;
    for (const CgroupDirectory& group : cgroup_directories("memory", root)) {
        if (!group.v2) continue;
        std::ifstream file(group.path / "cgroup.subtree_control");
        for (std::string controller; file >> controller;)
            if (controller == "memory") parents.push_back(group.path);
    }
    std::reverse(parents.begin(), parents.end());
    return parents;
}

base::Expected<MemoryGroup> MemoryGroup::make(const std::string& name, std::uint64_t limit, const fs::path& root) {
    std::error_code last = base::error_of(ENOENT);
    for (const fs::path& parent : memory_group_parents(root)) {
        const fs::path path = parent / name;
        if (!fs::create_directory(path, last)) continue;
        MemoryGroup group(path, UniqueFd(::open((path / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC)));
        if (!group.members_) {
            last = base::last_error();
            continue;
        }
        if (const auto limited = write_file(path / "memory.max", std::to_string(limit)); !limited) {
            last = limited.error();
            continue;
        }
        // Without swap accounting there is no such file. With a member killed for memory the others are of no use.
        static_cast<void>(write_file(path / "memory.swap.max", "0"));
        static_cast<void>(write_file(path / "memory.oom.group", "1"));
        return group;
    }
    return last;
}

MemoryGroup::MemoryGroup(MemoryGroup&& other) noexcept
    : path_(std::exchange(other.path_, {})), members_(std::move(other.members_)) {}

MemoryGroup& MemoryGroup::operator=(MemoryGroup&& other) noexcept {
    if (this != &other) {
        remove();
        path_ = std::exchange(other.path_, {});
        members_ = std::move(other.members_);
    }
    return *this;
}

MemoryGroup::~MemoryGroup() { remove(); }

void MemoryGroup::remove() noexcept {
    if (path_.empty()) return;
    members_.reset();
    // Its process is dead and reaped; what that started may live and would keep the group.
    static_cast<void>(write_file(path_ / "cgroup.kill", "1"));
    for (int look = 0; ::rmdir(path_.c_str()) != 0 && errno == EBUSY && look < 20; ++look) ::usleep(500);
    path_.clear();
}

std::optional<std::string> MemoryGroup::evidence() const {
    const fs::path path = path_ / "memory.events";
    std::ifstream file(path);
    std::string key;
    for (std::uint64_t count = 0; file >> key >> count;)
        if (key == "oom_kill" && count > 0) return "oom_kill in " + path.string() + " is " + std::to_string(count);
    return std::nullopt;
}

base::Expected<void> limit_own_data(std::uint64_t limit, std::atomic<std::uint32_t>* refused) {
    rlimit own{};
    if (::getrlimit(RLIMIT_DATA, &own) != 0) return base::last_error();
    own.rlim_cur = std::min<rlim_t>(limit, own.rlim_max);
    if (::setrlimit(RLIMIT_DATA, &own) != 0) return base::last_error();
    refusals = refused;
    std::set_new_handler(on_refusal);
    return {};
}

}  // namespace mp::os
