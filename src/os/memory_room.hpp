// How much memory this process could still take before the kernel starts to kill.
#pragma once

#include <cstdint>
#include <filesystem>

namespace mp::os {

/// The smaller of MemAvailable and the room left in every memory control group above this process (versions 1 and 2;
/// reclaimable file cache counts as room). The largest number when nothing of that can be read. An estimate: memory
/// shared with others changes under it. `root` stands for "/" and is replaced in tests.
std::uint64_t memory_room(const std::filesystem::path& root = "/");

}  // namespace mp::os
