/// \file
/// Values to bytes and back.
///
/// What can be sent: numbers, enums, plain aggregates of up to 64 members, the standard containers, strings, pairs,
/// tuples, optionals, variants, chrono, filesystem paths and smart pointers, each of what can be sent; classes with a
/// member or free function `template<class Archive> void serialize(Archive& ar) { ar(a, b, c); }`, or with `save` and
/// `load`; trivially copyable classes without pointers, as their bytes; and whatever `codec` is specialised for. The
/// order is: `codec`, `serialize`, members.
///
/// Both sides are processes of the same program: the bytes are no file format and carry no type information.
#pragma once

#include <type_traits>
#include <utility>

#include <multiprocessing/detail/serial_associative.hpp>
#include <multiprocessing/detail/serial_core.hpp>
#include <multiprocessing/detail/serial_functions.hpp>
#include <multiprocessing/detail/serial_pointers.hpp>
#include <multiprocessing/detail/serial_sequences.hpp>
#include <multiprocessing/detail/serial_values.hpp>
#include <multiprocessing/detail/serial_verdict.hpp>
#include <multiprocessing/errors.hpp>

/// Values to bytes and back: the codec, and how to teach it types of one's own.
namespace mp::serial {

/// T can be packed with `encode` and unpacked with `decode`. What a `serialize` function does inside is checked when
/// it is used. Asking fixes the answer: specialise `codec` before.
template <class T>
concept serializable = std::is_same_v<detail::verdict<T>, detail::Fine>;

/// Does nothing for a serialisable type; for any other it is a compile-time error whose first line says in one
/// sentence what is wrong and what to do.
template <class T>
constexpr void check_serializable() {
    static_cast<void>(detail::explain<detail::verdict<T>>::value);
}

/// Appends `value` to the message. Throws SerializationError for a value that cannot be sent (a cycle of shared
/// pointers, a chain nested too deep), and what a user's `serialize` throws.
template <class T>
void encode([[maybe_unused]] Writer& writer, [[maybe_unused]] const T& value) {
    if constexpr (serializable<T>) {
        detail::put(writer, value);
    } else {
        check_serializable<T>();
    }
}

/// Takes the next value out of the message. Throws SerializationError when the bytes are not one.
template <class T>
T decode([[maybe_unused]] Reader& reader) {
    if constexpr (serializable<T>) {
        return detail::take<std::remove_cv_t<T>>(reader);
    } else {
        check_serializable<T>();
        __builtin_unreachable();
    }
}

/// \cond
template <class... Ts>
OutputArchive& OutputArchive::operator()(const Ts&... values) {
    (encode(writer_, values), ...);
    return *this;
}

template <class... Ts>
InputArchive& InputArchive::operator()(Ts&&... values) {
    const auto one = [this]<class T>(T& value) {
        if constexpr (!serializable<T>) {
            check_serializable<T>();
        } else {
            static_assert(!std::is_const_v<T>,
                          "multiprocessing: a const member cannot be read into by serialize; make "
                          "it mutable, or specialise mp::serial::codec for the class");
            detail::take_into(reader_, value);
        }
    };
    (one(values), ...);
    return *this;
}
/// \endcond

}  // namespace mp::serial
