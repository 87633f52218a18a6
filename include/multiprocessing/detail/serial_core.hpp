/// \file
/// Packs and unpacks one value of a type already found serialisable: the four ways in their order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/serial_access.hpp>
#include <multiprocessing/detail/serial_bytewise.hpp>
#include <multiprocessing/detail/serial_verdict.hpp>

namespace mp::serial {

/// What `serialize` and `save` of a user's class are handed when a value is packed: `ar(a, b, c)` or `ar & a`.
class OutputArchive {
  public:
    /// For `if constexpr (Archive::is_loading)` in a `serialize` used both ways.
    static constexpr bool is_loading = false;
    static constexpr bool is_saving = true;

    explicit OutputArchive(Writer& writer) noexcept : writer_(writer) {}

    template <class... Ts>
    OutputArchive& operator()(const Ts&... values);
    template <class T>
    OutputArchive& operator&(const T& value) {
        return (*this)(value);
    }
    template <class T>
    OutputArchive& operator<<(const T& value) {
        return (*this)(value);
    }

    /// The writer beneath.
    Writer& writer() const noexcept { return writer_; }

  private:
    Writer& writer_;
};

/// What `serialize` and `load` of a user's class are handed when a value is unpacked.
class InputArchive {
  public:
    /// For `if constexpr (Archive::is_loading)` in a `serialize` used both ways.
    static constexpr bool is_loading = true;
    static constexpr bool is_saving = false;

    explicit InputArchive(Reader& reader) noexcept : reader_(reader) {}

    template <class... Ts>
    InputArchive& operator()(Ts&&... values);
    template <class T>
    InputArchive& operator&(T&& value) {
        return (*this)(value);
    }
    template <class T>
    InputArchive& operator>>(T&& value) {
        return (*this)(value);
    }

    /// The reader beneath.
    Reader& reader() const noexcept { return reader_; }

  private:
    Reader& reader_;
};

namespace detail {

template <class T>
void put(Writer& writer, const T& value);
template <class T>
T take(Reader& reader);
template <class T>
void take_into(Reader& reader, T& value);

template <class A, class T>
void archive(A& ar, T& value) {
    using Plain = std::remove_const_t<T>;
    if constexpr (has_serialize_member<Plain>) {
        access::serialize(ar, const_cast<Plain&>(value));  // one `serialize` for both ways only reads when saving
    } else if constexpr (has_save_load_members<Plain>) {
        if constexpr (A::is_saving) {
            access::save(ar, value);
        } else {
            access::load(ar, value);
        }
    } else if constexpr (has_serialize_function<Plain>) {
        serialize(ar, const_cast<Plain&>(value));
    } else if constexpr (A::is_saving) {
        save(ar, value);
    } else {
        load(ar, value);
    }
}

template <class T>
void put(Writer& writer, const T& value) {
    if constexpr (bytewise<T>) {
        writer.write(&value, sizeof value);
    } else if constexpr (has_codec<T>) {
        codec<T>::encode(writer, value);
    } else if constexpr (has_archive<T>) {
        OutputArchive ar(writer);
        archive(ar, value);
    } else if constexpr (std::is_array_v<T>) {
        for (const auto& element : value) {
            put(writer, element);
        }
    } else {
        visit_members(value, [&writer](const auto&... members) { (put(writer, members), ...); });
    }
}

/// Memory for a value whose bytes are about to be copied in, whether T has a default constructor or not.
template <class T>
union Slot {
    Slot() noexcept {}  // NOLINT(modernize-use-equals-default)
    T value;
};

template <class T>
T take_bytes(Reader& reader) {
    if constexpr (std::is_trivially_default_constructible_v<T>) {
        T value;
        reader.read(&value, sizeof value);
        check_bytes(value);
        return value;
    } else {
        Slot<T> slot;
        reader.read(static_cast<void*>(&slot.value), sizeof slot.value);
        check_bytes(slot.value);
        return std::move(slot.value);
    }
}

template <class T, class... Ms>
T take_members(Reader& reader, types<Ms...>) {
    if constexpr (any_array(types<Ms...>{})) {
        T value{};
        visit_members(value, [&reader](auto&... members) { (take_into(reader, members), ...); });
        return value;
    } else {
        return T{take<std::remove_const_t<Ms>>(reader)...};  // braces: in order
    }
}

template <class T>
T take(Reader& reader) {
    if constexpr (bytewise<T>) {
        return take_bytes<T>(reader);
    } else if constexpr (has_codec<T>) {
        return codec<T>::decode(reader);
    } else if constexpr (has_archive<T>) {
        T value = access::make<T>();
        InputArchive ar(reader);
        archive(ar, value);
        return value;
    } else {
        return take_members<T>(reader, member_types<T>{});
    }
}

template <class T>
void take_into(Reader& reader, T& value) {
    if constexpr (bytewise<T>) {
        // Not into `value` at once: it must stay a value when the bytes are refused.
        if constexpr (accepts_any_bytes<T>()) {
            reader.read(static_cast<void*>(&value), sizeof value);
        } else {
            Slot<T> slot;
            reader.read(static_cast<void*>(&slot.value), sizeof slot.value);
            check_bytes(slot.value);
            std::memcpy(static_cast<void*>(&value), &slot.value, sizeof value);
        }
    } else if constexpr (std::is_array_v<T>) {
        for (auto& element : value) {
            take_into(reader, element);
        }
    } else if constexpr (!has_codec<T> && has_archive<T>) {
        InputArchive ar(reader);
        archive(ar, value);
    } else {
        value = take<T>(reader);
    }
}

/// An element of a container. Each takes at least one byte, so that no count can exceed the bytes of the message.
template <class T>
void put_element(Writer& writer, const T& value) {
    if constexpr (bytewise<T>) {
        put(writer, value);
    } else {
        const std::size_t before = writer.bytes().size();
        put(writer, value);
        if (writer.bytes().size() == before) [[unlikely]] {
            *writer.extend(1) = std::byte{0};
        }
    }
}

template <class T>
T take_element(Reader& reader) {
    if constexpr (bytewise<T>) {
        return take<T>(reader);
    } else {
        const std::size_t before = reader.remaining();
        T value = take<T>(reader);
        if (reader.remaining() == before) [[unlikely]] {
            reader.view(1);
        }
        return value;
    }
}

inline void put_count(Writer& writer, std::size_t count) {
    const std::uint64_t number = count;
    writer.write(&number, sizeof number);
}

}  // namespace detail
}  // namespace mp::serial
