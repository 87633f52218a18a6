/// \file
/// Which types may be copied as their bytes.
#pragma once

#include <array>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include <multiprocessing/detail/serial_access.hpp>
#include <multiprocessing/detail/serial_members.hpp>

namespace mp::serial {
namespace detail {

template <class T>
consteval bool is_bytewise();

template <std::size_t N>
struct ZeroBytes {
    unsigned char bytes[N] = {};
};

template <class T>
consteval bool cast_from_zeroes() {
    static_cast<void>(__builtin_bit_cast(T, ZeroBytes<sizeof(T)>{}));
    return true;
}

/// Holds no pointer, reference, member pointer or union at any depth: making such a type from bytes is no constant
/// expression. Sees through private members. With g++ it needs a literal type (a constexpr constructor).
template <class T>
concept made_of_plain_bytes = sizeof(T) <= 4096 && requires { typename std::bool_constant<cast_from_zeroes<T>()>; };

/// Standard types that are known to be bytes; the others are looked into.
template <class T>
inline constexpr int known_bytewise = -1;  // don't know
template <class T, std::size_t N>
inline constexpr int known_bytewise<std::array<T, N>> = N != 0 && is_bytewise<T>();
template <class T>
inline constexpr int known_bytewise<std::complex<T>> = std::is_floating_point_v<T>;
template <class R, class P>
inline constexpr int known_bytewise<std::chrono::duration<R, P>> = std::is_arithmetic_v<R>;
template <class C, class D>
inline constexpr int known_bytewise<std::chrono::time_point<C, D>> = is_bytewise<D>();

template <class... Ts>
consteval bool all_bytewise(types<Ts...>) {
    return (is_bytewise<std::remove_const_t<Ts>>() && ...);
}

template <class T>
consteval bool is_bytewise() {
    if constexpr (std::is_arithmetic_v<T>) {
        return !std::is_volatile_v<T>;
    } else if constexpr (std::is_enum_v<T>) {
        return !std::is_volatile_v<T> && !has_codec<T> && !has_archive<T>;
    } else if constexpr (std::is_bounded_array_v<T>) {
        return is_bytewise<std::remove_all_extents_t<T>>();
    } else if constexpr (!std::is_class_v<T> || std::is_volatile_v<T>) {
        return false;
    } else if constexpr (known_bytewise<T> >= 0) {
        return known_bytewise<T> == 1;
    } else if constexpr (!std::is_trivially_copyable_v<T> || !std::is_trivially_move_constructible_v<T>) {
        return false;
    } else if constexpr (has_codec<T> || has_archive<T>) {
        return false;
    } else if constexpr (has_visible_members<T>) {
        return all_bytewise(member_types<T>{});
    } else {
        return made_of_plain_bytes<T>;
    }
}

}  // namespace detail

/// T can be copied to another process as its bytes: trivially copyable, no pointer, reference or union at any depth,
/// and no way of its own to be packed (`codec`, `serialize`) at any depth that can be seen: members of aggregates.
template <class T>
concept bytewise = detail::is_bytewise<std::remove_const_t<T>>();

namespace detail {

/// T is a bool, or an enum that is one underneath: bytes other than 0 and 1 are not a value.
template <class T>
consteval bool is_boolean() {
    if constexpr (std::is_enum_v<T>) {
        return std::is_same_v<std::underlying_type_t<T>, bool>;
    } else {
        return std::is_same_v<T, bool>;
    }
}

template <class T>
consteval bool accepts_any_bytes();

template <class... Ts>
consteval bool all_accept_any_bytes(types<Ts...>) {
    return (accepts_any_bytes<std::remove_const_t<Ts>>() && ...);
}

template <class T>
inline constexpr bool array_accepts_any_bytes = true;
template <class T, std::size_t N>
inline constexpr bool array_accepts_any_bytes<std::array<T, N>> = accepts_any_bytes<T>();

/// Every pattern of bytes is a value of T, as far as can be seen: what a class with constructors thinks of its
/// private members is not known here.
template <class T>
consteval bool accepts_any_bytes() {
    if constexpr (is_boolean<T>()) {
        return false;
    } else if constexpr (std::is_array_v<T>) {
        return accepts_any_bytes<std::remove_all_extents_t<T>>();
    } else if constexpr (!std::is_class_v<T>) {
        return true;
    } else if constexpr (known_bytewise<T> >= 0) {
        return array_accepts_any_bytes<T>;
    } else if constexpr (has_visible_members<T>) {
        return all_accept_any_bytes(member_types<T>{});
    } else {
        return true;
    }
}

template <class T>
struct is_std_array : std::false_type {};
template <class T, std::size_t N>
struct is_std_array<std::array<T, N>> : std::true_type {};

/// Throws SerializationError when `object`, copied from untrusted bytes, holds a bool that is neither true nor false.
/// Looks at its bytes only, since reading such a bool is undefined.
template <class T>
void check_bytes([[maybe_unused]] const T& object) {
    if constexpr (accepts_any_bytes<T>()) {
    } else if constexpr (is_boolean<T>()) {
        unsigned char byte;
        std::memcpy(&byte, &object, 1);
        if (byte > 1) [[unlikely]] {
            fail_value("a bool is neither true nor false");
        }
    } else if constexpr (std::is_array_v<T> || is_std_array<T>::value) {
        for (const auto& element : object) {
            check_bytes(element);
        }
    } else {  // const references also take bit-fields, as copies: those are always in order
        visit_members(object, [](const auto&... members) { (check_bytes(members), ...); });
    }
}

}  // namespace detail
}  // namespace mp::serial
