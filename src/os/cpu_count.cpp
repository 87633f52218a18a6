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
#include <sstream>
#include <string>
#include <vector>

#include "os/cgroup.hpp"

namespace mp::os {
namespace {

long read_mask(std::size_t bytes, void* mask) { return ::syscall(SYS_sched_getaffinity, 0, bytes, mask); }

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

std::optional<unsigned> quota_in(const CgroupDirectory& group) {
    const std::filesystem::path& directory = group.path;
    if (group.v2) {
        const auto line = first_line(directory / "cpu.max");
        if (!line) return std::nullopt;
        std::istringstream words(*line);
        std::string quota, period;
        return words >> quota >> period ? whole_cpus(quota, period) : std::nullopt;
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
    for (const CgroupDirectory& group : cgroup_directories("cpu", root))
        if (const auto quota = quota_in(group)) smallest = smallest ? std::min(*smallest, *quota) : *quota;
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
