#include "os/private_memory.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "os/retry.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

namespace {

/// In bytes.
struct Usage {
    std::uint64_t all, resident, shared;
};

std::optional<Usage> usage() {
    const UniqueFd file(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
    if (!file) return std::nullopt;
    std::array<char, 128> text{};
    const auto size = retry([&] { return ::read(file.get(), text.data(), text.size() - 1); });
    unsigned long all = 0, resident = 0, shared = 0;
    if (size <= 0 || std::sscanf(text.data(), "%lu %lu %lu", &all, &resident, &shared) != 3) return std::nullopt;
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return Usage{all * page, resident * page, shared * page};
}

}  // namespace

std::uint64_t private_memory() {
    const auto now = usage();
    return now && now->shared <= now->resident ? now->resident - now->shared : 0;
}

std::optional<std::uint64_t> address_space_left() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
    const auto now = usage();
    return limit.rlim_cur - std::min<std::uint64_t>(limit.rlim_cur, now ? now->all : 0);
}

}  // namespace mp::os
