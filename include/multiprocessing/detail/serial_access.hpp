/// \file
/// Types that say themselves how to be packed: the customisation point `codec` and cereal-style members.
#pragma once

#include <concepts>
#include <type_traits>

#include <multiprocessing/detail/serial_bind.hpp>
#include <multiprocessing/detail/serial_reader.hpp>
#include <multiprocessing/detail/serial_writer.hpp>

namespace mp::serial {

/// How to pack values of type T: specialise it for a type of one's own that the built-in ways do not fit, before
/// the first use of the type, with
/// ```
/// static void encode(mp::serial::Writer&, const T&);
/// static T decode(mp::serial::Reader&);                 // throws SerializationError on bytes that make no sense
/// using parts = mp::serial::types<A, B>;                // optional: types that must be serialisable for T to be
/// ```
/// A specialisation goes before everything else, a `serialize` member included.
template <class T, class = void>
struct codec;

class OutputArchive;
class InputArchive;

/// Befriend this class (`friend mp::serial::access;`) to keep `serialize`, `save`, `load` or the default constructor
/// private.
class access {
  public:
    /// \cond internal
    template <class A, class T>
    static auto serialize(A& archive, T& value) -> decltype(value.serialize(archive)) {
        return value.serialize(archive);
    }
    template <class A, class T>
    static auto save(A& archive, const T& value) -> decltype(value.save(archive)) {
        return value.save(archive);
    }
    template <class A, class T>
    static auto load(A& archive, T& value) -> decltype(value.load(archive)) {
        return value.load(archive);
    }
    template <class T>
    static auto make() -> decltype(T()) {
        return T();
    }
    /// \endcond
};

namespace detail {

template <class T>
concept has_codec = requires { sizeof(codec<T>); };

template <class T>
concept has_serialize_member = requires(T& value, OutputArchive& out, InputArchive& in) {
    access::serialize(out, value);
    access::serialize(in, value);
};
template <class T>
concept has_save_load_members = requires(T& value, const T& constant, OutputArchive& out, InputArchive& in) {
    access::save(out, constant);
    access::load(in, value);
};
template <class T>
concept has_serialize_function = requires(T& value, OutputArchive& out, InputArchive& in) {
    serialize(out, value);
    serialize(in, value);
};
template <class T>
concept has_save_load_functions = requires(T& value, const T& constant, OutputArchive& out, InputArchive& in) {
    save(out, constant);
    load(in, value);
};

template <class T>
concept has_archive =
    (std::is_class_v<T> || std::is_union_v<T> || std::is_enum_v<T>) &&
    (has_serialize_member<T> || has_save_load_members<T> || has_serialize_function<T> || has_save_load_functions<T>);

template <class T>
concept makeable = requires { access::make<T>(); };

}  // namespace detail
}  // namespace mp::serial
