#include "pool/lane.hpp"

#include <unistd.h>

#include <algorithm>

namespace mp::pool {

namespace {

// Address space for a heap in shared memory: as much as there is memory.
std::uint64_t heap_size() {
    constexpr std::uint64_t fallback = std::uint64_t(4) << 30;
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page = ::sysconf(_SC_PAGESIZE);
    const std::uint64_t memory = pages > 0 && page > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) : fallback;
    return memory / 4096 * 4096;
}

}  // namespace

base::Expected<SharedFile> make_shared_file(const char* name, std::uint64_t fixed) {
    constexpr std::uint64_t least = 1 << 20;
    std::error_code error;
    for (std::uint64_t heap = heap_size(); heap >= least; heap = heap / 4 / 4096 * 4096) {
        auto file = os::memory_file(name, fixed + heap);
        if (!file) return file.error();
        auto mapping = os::Mapping::shared(file->get(), fixed + heap);
        if (mapping) return SharedFile{std::move(*file), std::move(*mapping)};
        error = mapping.error();
    }
    return error;
}

}  // namespace mp::pool
