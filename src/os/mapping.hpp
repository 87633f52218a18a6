// Owns one mmap'ed range; and the anonymous memory files that are mapped for sharing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/expected.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

class Mapping {
  public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    /// Maps `size` bytes of `fd` from `offset`, shared, readable and writable. Address space only: pages are taken
    /// when touched, are not counted against the commit limit and stay out of core dumps.
    static base::Expected<Mapping> shared(int fd, std::size_t size, std::uint64_t offset = 0);

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }
    std::span<std::byte> bytes() const { return {data_, size_}; }
    explicit operator bool() const { return data_ != nullptr; }

  private:
    Mapping(std::byte* data, std::size_t size) : data_(data), size_(size) {}

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

/// A nameless file in memory of `size` zero bytes, handed to other processes by descriptor; it is gone with its last
/// descriptor and mapping. Sparse: no page is taken before it is touched. `name` is what /proc shows.
base::Expected<UniqueFd> memory_file(const char* name, std::uint64_t size);

/// Gives the pages of [offset, offset + size) back to the system; they read as zero afterwards.
void discard_pages(int fd, std::uint64_t offset, std::uint64_t size);

}  // namespace mp::os
