/// \file
/// A file descriptor that travels beside the bytes of a message.
#pragma once

#include <memory>

#include <multiprocessing/export.hpp>

namespace mp::serial {

/// Shared ownership of one file descriptor. Copies are cheap and refer to the same descriptor, which is closed with
/// the last of them. A message carries handles beside its bytes: the receiver gets descriptors of its own for the
/// same open files. Different copies may be used from different threads.
class MP_EXPORT Handle {
  public:
    /// Owns nothing; `fd()` is -1.
    Handle() noexcept = default;

    /// Takes over an open descriptor, which is closed even when this throws `std::bad_alloc`.
    explicit Handle(int fd_to_own);

    /// A handle to a new descriptor (close-on-exec) for the same open file; the given one stays the caller's.
    /// Throws SystemError when the descriptor is not open or the process has none left.
    static Handle duplicate(int fd);

    /// The descriptor, valid as long as a copy of this handle lives; -1 when it owns none.
    int fd() const noexcept { return fd_ ? *fd_ : -1; }

    /// Whether a descriptor is owned.
    explicit operator bool() const noexcept { return fd_ != nullptr; }

  private:
    std::shared_ptr<const int> fd_;
};

}  // namespace mp::serial
