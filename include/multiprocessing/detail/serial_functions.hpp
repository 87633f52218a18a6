/// \file
/// Codecs of pointers to functions and to member functions: a module and a place in it, checked on arrival.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

#include <multiprocessing/detail/entry.hpp>

namespace mp::detail {

/// The two words that a pointer to member function consists of.
using MemberPointerWords = std::array<std::uintptr_t, 2>;
MP_EXPORT void encode_member_pointer(serial::Writer& writer, const MemberPointerWords& words);
MP_EXPORT MemberPointerWords decode_member_pointer(serial::Reader& reader);

}  // namespace mp::detail

namespace mp::serial {

/// \cond internal
template <class T>
struct codec<T, std::enable_if_t<std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>>> {
    static void encode(Writer& writer, const T& code) {
        codec<mp::detail::CodeId>::encode(writer, mp::detail::identify_code(reinterpret_cast<void (*)()>(code)));
    }
    static T decode(Reader& reader) {
        return reinterpret_cast<T>(mp::detail::resolve_code(codec<mp::detail::CodeId>::decode(reader)));
    }
};

template <class T>
struct codec<T, std::enable_if_t<std::is_member_function_pointer_v<T>>> {
    static_assert(sizeof(T) == sizeof(mp::detail::MemberPointerWords), "the Itanium C++ ABI is expected");
    static void encode(Writer& writer, const T& member) {
        mp::detail::encode_member_pointer(writer, std::bit_cast<mp::detail::MemberPointerWords>(member));
    }
    static T decode(Reader& reader) { return std::bit_cast<T>(mp::detail::decode_member_pointer(reader)); }
};
/// \endcond

}  // namespace mp::serial
