/// \file
/// ShareableList: a list of plain values of mixed types in shared memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <multiprocessing/detail/shared_block.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

/// An element of a ShareableList; std::monostate is "nothing".
using ShareableItem = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::byte>>;

/// A list of fixed length whose elements are changed in place, also to another type. An element has the room that its
/// first value needs, in steps of 8 bytes: a longer text is refused. Copies are the same list; it can be an argument or
/// part of a message, and what travels is a handle, whatever the list holds.
///
/// Each call is atomic, from any thread of any process. A process that is killed in the middle of one blocks nobody and
/// leaves the old value.
class MP_EXPORT ShareableList {
  public:
    /// Throws SystemError when the memory is not available.
    explicit ShareableList(std::span<const ShareableItem> items);
    /// `mp::ShareableList list{1, "two", 3.5};` Throws SystemError when there is no memory left.
    ShareableList(std::initializer_list<ShareableItem> items)
        : ShareableList(std::span<const ShareableItem>(items.begin(), items.size())) {}

    /// Elements; never changes.
    std::size_t size() const noexcept;
    /// The element; a negative index counts from the end. Throws std::out_of_range.
    ShareableItem at(std::ptrdiff_t index) const;
    /// The element as a T, one of the types of ShareableItem. Throws std::bad_variant_access when it is none.
    template <class T>
    T get(std::ptrdiff_t index) const {
        return std::get<T>(at(index));
    }
    /// Throws std::out_of_range, and std::length_error when the element has not the room: then it keeps its value.
    void set(std::ptrdiff_t index, const ShareableItem& item) const;
    /// Bytes that the element has room for.
    std::size_t capacity(std::ptrdiff_t index) const;

    /// How many elements are equal to `item`.
    std::size_t count(const ShareableItem& item) const;
    /// Position of the first that is.
    std::optional<std::size_t> index(const ShareableItem& item) const;
    /// All elements as they were at one instant.
    std::vector<ShareableItem> items() const;
    /// A new list with the same elements, and their room.
    ShareableList copy() const;

    /// Whether both are the same list.
    bool is_same(const ShareableList& other) const noexcept { return block_ == other.block_; }

    /// \cond internal
    explicit ShareableList(const serial::Handle& handle);
    const detail::SharedBlock& internal_block() const noexcept { return block_; }
    /// \endcond

  private:
    ShareableList(std::span<const ShareableItem> items, std::span<const std::size_t> capacities);

    detail::SharedBlock block_;
};

/// `ShareableList([1, 2.5, true, "text", 3 bytes, none])`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const ShareableList& list);

/// \cond internal
template <>
struct serial::codec<ShareableList> {
    static void encode(Writer& writer, const ShareableList& list) { writer.attach(list.internal_block().handle()); }
    static ShareableList decode(Reader& reader) { return ShareableList(reader.take_handle()); }
};
/// \endcond

}  // namespace mp
