/// \file
/// The shared memory behind one object of the library, and how it travels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <multiprocessing/detail/serial_handle.hpp>
#include <multiprocessing/export.hpp>

namespace mp::detail {

/// What lies in a block; written at its start, so that a descriptor that arrives is not taken for something else.
enum class BlockKind : std::uint32_t {
    value = 0x6d700001,
    array,
    lock,
    rlock,
    semaphore,
    bounded_semaphore,
    condition,
    event,
    barrier,
    queue,
    pipe,
    memory,
    shareable_list,
};

/// First bytes of every block. Written once by the creator, before anybody else can see them.
struct BlockHead {
    std::uint32_t kind;
    std::uint32_t version;
    std::uint64_t detail;  // what the object must agree on with its users: sizeof(T), number of elements …
};
static_assert(sizeof(BlockHead) == 16);

/// Shared ownership of a block within this process; the memory itself lives as long as any process holds it. The
/// data begins page-aligned with a BlockHead.
class MP_EXPORT SharedBlock {
  public:
    SharedBlock() noexcept = default;

    /// Zeroed but for the head. `what` names the object in errors: `cannot allocate 64 MiB for an Array`. Throws
    /// SystemError, also when the memory is not there.
    static SharedBlock create(BlockKind kind, std::uint64_t detail, std::uint64_t size, const char* what);

    /// For `size` bytes of which most will not be touched: no look at the memory that is left. Empty, with errno, when
    /// a limit on address space or file size forbids it.
    static SharedBlock create_sparse(BlockKind kind, std::uint64_t detail, std::uint64_t size, const char* what);

    /// The block behind a descriptor that arrived in a message. Throws SerializationError when it is something else.
    static SharedBlock attach(const serial::Handle& handle, BlockKind kind, std::uint64_t detail,
                              std::uint64_t least_size, const char* what);
    /// For objects whose detail is not known beforehand: any is taken.
    static SharedBlock attach(const serial::Handle& handle, BlockKind kind, std::uint64_t least_size,
                              const char* what);

    /// A descriptor to send. Throws when this process has none left.
    serial::Handle handle() const;

    explicit operator bool() const noexcept { return data_ != nullptr; }
    std::byte* data() const noexcept { return data_; }
    /// Of the memory file; valid while the block is held.
    int fd() const noexcept { return fd_; }
    std::size_t size() const noexcept { return size_; }
    const BlockHead& head() const noexcept { return *reinterpret_cast<const BlockHead*>(data_); }
    /// Whether both are the same piece of memory.
    friend bool operator==(const SharedBlock& a, const SharedBlock& b) noexcept { return a.data_ == b.data_; }

  private:
    std::shared_ptr<const void> segment_;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    int fd_ = -1;
};

}  // namespace mp::detail
