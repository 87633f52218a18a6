#include "pool/lane.hpp"

#include <unistd.h>

#include <algorithm>

#include "os/private_memory.hpp"

namespace mp::pool {

namespace {

constexpr std::uint64_t least_heap = 1 << 20;

// Address space for a heap in shared memory: as much as there is memory.
std::uint64_t heap_size(std::uint64_t parts) {
    constexpr std::uint64_t fallback = std::uint64_t(4) << 30;
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page = ::sysconf(_SC_PAGESIZE);
    const std::uint64_t memory = pages > 0 && page > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) : fallback;
    // Under a limit (`ulimit -v`) the rest is for the other mappings of the pool, here and in its workers, and for the program.
    const auto left = os::address_space_left();
    const std::uint64_t share = left ? std::max(least_heap, *left / parts) : memory;
    return std::min(memory, share) / 4096 * 4096;
}

}  // namespace

base::Expected<SharedFile> make_shared_file(const char* name, std::uint64_t fixed, std::uint64_t parts) {
    std::error_code error;
    for (std::uint64_t heap = heap_size(parts); heap >= least_heap; heap = heap / 4 / 4096 * 4096) {
        auto file = os::memory_file(name, fixed + heap);
        if (!file) return file.error();
        auto mapping = os::Mapping::shared(file->get(), fixed + heap);
        if (mapping) return SharedFile{std::move(*file), std::move(*mapping)};
        error = mapping.error();
    }
    return error;
}

}  // namespace mp::pool
