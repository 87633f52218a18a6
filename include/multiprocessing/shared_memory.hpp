/// \file
/// SharedMemory: plain bytes that several processes see.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

#include <multiprocessing/detail/serial_handle.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

/// A piece of memory, zeroed at first, that other processes get by being sent this object; copies are the same memory.
/// Without a name it leaves no trace when the last process that has it ends, however that happens. With a name, any
/// process of the system can open it; then its creator owns the name and removes it in its destructor (or by unlink),
/// and a creator that is killed leaves it behind.
///
/// Page-aligned. Access is the user's to order. Throws SystemError: ENOMEM when that much memory is not available now.
class MP_EXPORT SharedMemory {
  public:
    /// Anonymous. The size must not be 0.
    explicit SharedMemory(std::size_t size);

    /// A new named one; EEXIST when the name is taken. Any characters but `/` and NUL.
    static SharedMemory create(const std::string& name, std::size_t size);
    /// The one of that name, as large as it is; ENOENT when there is none.
    static SharedMemory open(const std::string& name);

    /// Where it begins in this process.
    std::byte* data() const noexcept { return data_; }
    /// In bytes, as asked for.
    std::size_t size() const noexcept { return size_; }
    /// All of it.
    std::span<std::byte> bytes() const noexcept { return {data_, size_}; }
    /// The memory as an array of T.
    template <class T>
        requires std::is_trivially_copyable_v<T>
    std::span<T> span() const noexcept {
        return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
    }
    /// Empty when anonymous.
    const std::string& name() const noexcept { return name_; }
    /// Removes the name; the memory stays as long as somebody has it. ENOENT when it is gone already.
    void unlink();

    /// Whether both are the same memory.
    friend bool operator==(const SharedMemory& a, const SharedMemory& b) noexcept { return a.data_ == b.data_; }

    /// \cond internal
    SharedMemory(const serial::Handle& handle, std::string name);
    serial::Handle internal_handle() const;
    /// \endcond

  private:
    struct Owner;
    SharedMemory(int fd, std::size_t size, std::string name, bool owner);

    std::shared_ptr<const void> segment_;
    std::shared_ptr<Owner> owner_;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    int fd_ = -1;
    std::string name_;
};

/// \cond internal
template <>
struct serial::codec<SharedMemory> {
    static void encode(Writer& writer, const SharedMemory& memory) {
        writer.attach(memory.internal_handle());
        serial::encode(writer, memory.name());
    }
    static SharedMemory decode(Reader& reader) {
        const auto handle = reader.take_handle();
        return SharedMemory(handle, serial::decode<std::string>(reader));
    }
};
/// \endcond

}  // namespace mp
