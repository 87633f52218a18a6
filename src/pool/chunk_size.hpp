// How many elements of a map a worker claims at once.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mp::pool {

/// Grows while claims are short, so that claiming costs nothing, and is small
/// again where elements take long or few are left, so that all workers end together.
class ChunkSize {
  public:
    std::uint64_t next(std::uint64_t left, std::uint64_t workers) const {
        return std::max<std::uint64_t>(1, std::min(size_, left / (4 * workers)));
    }
    /// Nanoseconds an element took in the last claim; the largest number before the first.
    std::uint64_t mean() const { return mean_; }
    void learn(std::uint64_t elements, std::uint64_t nanoseconds) {
        mean_ = nanoseconds / std::max<std::uint64_t>(1, elements);
        if (elements < size_) return;  // says little about longer claims
        if (nanoseconds < target / 2) size_ *= 2;
        else if (nanoseconds > 2 * target) size_ = std::max<std::uint64_t>(1, size_ * target / nanoseconds);
    }

  private:
    static constexpr std::uint64_t target = 200'000;  // nanoseconds a claim
    std::uint64_t size_ = 1;
    std::uint64_t mean_ = ~std::uint64_t(0);
};

}  // namespace mp::pool
