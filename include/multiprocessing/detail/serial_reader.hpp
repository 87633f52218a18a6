/// \file
/// Where bytes become values again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <typeinfo>

#include <multiprocessing/detail/serial_failures.hpp>
#include <multiprocessing/detail/serial_handle.hpp>
#include <multiprocessing/export.hpp>

namespace mp::serial {

/// Walks over the bytes and handles of one message, which must stay unchanged while the reader lives. Trusts nothing:
/// whatever the bytes are, the outcome is a value or SerializationError, and no more memory is asked for than is in
/// proportion to the message. For one thread at a time.
class MP_EXPORT Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes, std::span<const Handle> handles = {}) noexcept
        : cursor_(bytes.data()),
          end_(bytes.data() + bytes.size()),
          budget_(4 * bytes.size() + 1024),
          handles_(handles) {}

    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// Copies the next `size` bytes out; throws SerializationError when fewer are left.
    void read(void* to, std::size_t size) {
        const std::byte* from = view(size);
        if (size != 0) {
            std::memcpy(to, from, size);
        }
    }

    /// Steps over the next `size` bytes and returns where they are, unaligned, in the message.
    const std::byte* view(std::size_t size) {
        if (size > remaining()) [[unlikely]] {
            detail::fail_truncated(size, remaining());
        }
        const std::byte* at = cursor_;
        cursor_ += size;
        return at;
    }

    /// Reads a number of elements that take at least `least_size` (not 0) bytes each; throws SerializationError when
    /// there cannot be as many in what is left.
    std::size_t count(std::size_t least_size = 1) {
        std::uint64_t number;
        read(&number, sizeof number);
        if (number > remaining() / least_size) [[unlikely]] {
            detail::fail_count(number, remaining());
        }
        return static_cast<std::size_t>(number);
    }

    /// The next handle of the message; throws SerializationError when all were taken.
    Handle take_handle();

    /// Bytes not yet read.
    std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - cursor_); }

    /// Throws SerializationError when bytes or handles are left over: the message is not what it was taken for.
    void finish() const {
        if (cursor_ != end_ || taken_ != handles_.size()) [[unlikely]] {
            detail::fail_left_over(remaining());
        }
    }

    /// \cond internal
    void enter() {
        if (++depth_ > detail::max_depth) [[unlikely]] {
            detail::fail_depth();
        }
    }
    void leave() noexcept { --depth_; }

    /// How many of `wanted` elements to reserve memory for at once. All reservations for one message share a budget
    /// in proportion to its size, so that nested false counts cannot add up; real elements beyond it just grow.
    std::size_t allowance(std::size_t wanted, std::size_t element_size) noexcept {
        const std::size_t granted = std::min(wanted, budget_ / element_size);
        budget_ -= granted * element_size;
        return granted;
    }

    /// Reads which shared object comes next: 0 for null, a number read before, or the next new one (`is_new`).
    struct Shared {
        std::uint64_t number;
        bool is_new;
    };
    Shared shared();
    void keep_shared(std::uint64_t number, std::shared_ptr<void> object, const std::type_info& type);
    std::shared_ptr<void> find_shared(std::uint64_t number, const std::type_info& type) const;
    /// \endcond

  private:
    struct Shares;
    struct DropShares {
        MP_EXPORT void operator()(Shares* shares) const noexcept;
    };

    const std::byte* cursor_;
    const std::byte* end_;
    std::size_t budget_;
    std::uint32_t depth_ = 0;
    std::span<const Handle> handles_;
    std::size_t taken_ = 0;
    std::unique_ptr<Shares, DropShares> shares_;
};

namespace detail {

/// Counts one level of nesting in a Writer or Reader while it lives.
template <class Stream>
class Nesting {
  public:
    explicit Nesting(Stream& stream) : stream_(stream) { stream.enter(); }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() { stream_.leave(); }

  private:
    Stream& stream_;
};

}  // namespace detail
}  // namespace mp::serial
