// The number a linker gives to each program and library it makes (-Wl,--build-id): equal exactly for the same build.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/expected.hpp"

namespace mp::os {

class BuildId {
  public:
    /// Linkers make 8 (lld's fast), 16 (md5, uuid), 20 (sha1) or 32 (sha256) bytes; of a longer one the beginning counts.
    static constexpr std::size_t max_size = 32;

    BuildId() = default;
    explicit BuildId(std::span<const std::byte> bytes);

    bool empty() const { return size_ == 0; }
    std::span<const std::byte> bytes() const { return {bytes_.data(), size_}; }
    bool operator==(const BuildId&) const = default;

  private:
    std::array<std::byte, max_size> bytes_{};
    std::uint8_t size_ = 0;
};

/// Searches ELF notes that lie in memory; returns the bytes of the build-id where they lie, empty without one.
/// Async-signal-safe.
std::span<const std::byte> find_build_id(std::span<const std::byte> notes, std::size_t alignment);

/// The build-id of a loaded module. `image`: where its ELF header is mapped (dl_find_object::dlfo_map_start).
/// Async-signal-safe.
BuildId build_id_of_image(const void* image);

/// The build-id of an ELF file of this process's class and machine; empty when it has none. errc::executable_format_error for what is no such
/// file. Reads only headers and notes.
base::Expected<BuildId> build_id_of_file(int fd);

}  // namespace mp::os
