// Owned bytes; few of them need no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace mp::base {

class SmallBytes {
  public:
    SmallBytes() = default;
    explicit SmallBytes(std::span<const std::byte> bytes) : size_(bytes.size()) {
        if (size_ > inline_.size()) heap_ = std::make_unique_for_overwrite<std::byte[]>(size_);
        if (size_) std::memcpy(data(), bytes.data(), size_);
    }
    SmallBytes(SmallBytes&& other) noexcept
        : size_(std::exchange(other.size_, 0)), inline_(other.inline_), heap_(std::move(other.heap_)) {}
    SmallBytes& operator=(SmallBytes&& other) noexcept {
        size_ = std::exchange(other.size_, 0);
        inline_ = other.inline_;
        heap_ = std::move(other.heap_);
        return *this;
    }

    std::size_t size() const { return size_; }
    std::span<const std::byte> bytes() const { return {heap_ ? heap_.get() : inline_.data(), size_}; }

  private:
    std::byte* data() { return heap_ ? heap_.get() : inline_.data(); }

    std::size_t size_ = 0;
    std::array<std::byte, 48> inline_;
    std::unique_ptr<std::byte[]> heap_;
};

}  // namespace mp::base
