#include "os/private_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "os/retry.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

std::uint64_t private_memory() {
    const UniqueFd file(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
    if (!file) return 0;
    std::array<char, 128> text{};
    const auto size = retry([&] { return ::read(file.get(), text.data(), text.size() - 1); });
    unsigned long all = 0, resident = 0, shared = 0;
    if (size <= 0 || std::sscanf(text.data(), "%lu %lu %lu", &all, &resident, &shared) != 3 || shared > resident) return 0;
    return std::uint64_t(resident - shared) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace mp::os
