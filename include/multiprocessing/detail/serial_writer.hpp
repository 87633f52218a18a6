/// \file
/// Where values become bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <typeinfo>
#include <utility>
#include <vector>

#include <multiprocessing/detail/serial_failures.hpp>
#include <multiprocessing/detail/serial_handle.hpp>
#include <multiprocessing/export.hpp>

namespace mp::serial {

/// Collects the bytes and handles of a message. For one thread at a time. After an exception from `encode` the
/// content is a prefix of a message: call `clear()` before the next use.
class MP_EXPORT Writer {
  public:
    /// Writes to the heap; allocates with the first byte.
    Writer() noexcept = default;

    /// Writes into the caller's memory, which must outlive the writer, and moves to the heap only when that is full.
    explicit Writer(std::span<std::byte> scratch) noexcept
        : begin_(scratch.data()), cursor_(scratch.data()), end_(scratch.data() + scratch.size()) {}

    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    /// What was written so far; valid until the next write.
    std::span<const std::byte> bytes() const noexcept { return {begin_, cursor_}; }

    /// What was attached so far, in order; valid until the next `attach`.
    std::span<const Handle> handles() const noexcept { return handles_; }

    /// Appends `size` bytes. Throws `std::bad_alloc` when memory runs out; then nothing was appended.
    void write(const void* from, std::size_t size) {
        std::byte* to = extend(size);
        if (size != 0) {
            std::memcpy(to, from, size);
        }
    }

    /// Appends `size` bytes for the caller to fill before the next call; until then they are uninitialised.
    std::byte* extend(std::size_t size) {
        if (size > static_cast<std::size_t>(end_ - cursor_)) [[unlikely]] {
            grow(size);
        }
        return std::exchange(cursor_, cursor_ + size);
    }

    /// Sends a descriptor along; the reader takes handles in the order in which they were attached.
    void attach(Handle handle) { handles_.push_back(std::move(handle)); }

    /// Forgets bytes and handles and keeps the memory for the next message.
    void clear() noexcept {
        cursor_ = begin_;
        depth_ = 0;
        if (!handles_.empty()) [[unlikely]] {
            handles_.clear();
        }
        if (shares_) [[unlikely]] {
            shares_.reset();
        }
    }

    /// \cond internal
    void enter() {
        if (++depth_ > detail::max_depth) [[unlikely]] {
            detail::fail_depth();
        }
    }
    void leave() noexcept { --depth_; }

    /// Whether the message goes over a network, where others may read it: secrets stay out of it.
    bool leaves_machine() const noexcept { return leaves_machine_; }
    void set_leaves_machine(bool leaves) noexcept { leaves_machine_ = leaves; }

    struct Shared {
        std::uint64_t number;  // from 1, in the order of first appearance
        bool first;
    };
    /// Numbers an object owned by shared pointers; throws SerializationError when it is still being written (a cycle).
    Shared share(std::shared_ptr<const void> object, const std::type_info& type);
    void share_done(std::uint64_t number) noexcept;
    /// \endcond

  private:
    struct Shares;
    struct DropShares {
        MP_EXPORT void operator()(Shares* shares) const noexcept;
    };
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };

    void grow(std::size_t size);

    std::byte* begin_ = nullptr;
    std::byte* cursor_ = nullptr;
    std::byte* end_ = nullptr;
    std::uint32_t depth_ = 0;
    bool leaves_machine_ = false;
    std::unique_ptr<std::byte, Free> heap_;  // empty while the bytes are in the caller's scratch memory
    std::vector<Handle> handles_;
    std::unique_ptr<Shares, DropShares> shares_;
};

}  // namespace mp::serial
