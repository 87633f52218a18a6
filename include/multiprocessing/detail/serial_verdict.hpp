/// \file
/// Whether a type can be packed, and if not, the one sentence that says why and what to do.
#pragma once

#include <concepts>
#include <span>
#include <string_view>
#include <type_traits>

#include <multiprocessing/detail/serial_access.hpp>
#include <multiprocessing/detail/serial_bytewise.hpp>
#include <multiprocessing/detail/serial_members.hpp>

namespace mp::serial::detail {

enum class Reason {
    pointer,
    reference,
    string_view,
    span,
    member_pointer,
    union_,
    polymorphic,
    polymorphic_pointee,
    volatile_,
    unbounded_array,
    array_without_default,
    no_default,
    not_movable,
    lock,
    atomic,
    hidden_members,
    no_way,
};

struct Fine {};
template <Reason R, class Culprit>
struct Refused {};

/// In `codec::parts`: what a smart pointer points to.
template <class T>
struct pointee {};

template <class T>
struct is_pointee : std::false_type {};
template <class T>
struct is_pointee<pointee<T>> : std::true_type {
    using type = T;
};

template <class T>
inline constexpr bool is_string_view = false;
template <class C, class R>
inline constexpr bool is_string_view<std::basic_string_view<C, R>> = true;
template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

// Of the standard library, without its headers.
template <class T>
concept reference_wrapper_like = requires(T wrapper) {
    typename T::type;
    { wrapper.get() } -> std::same_as<typename T::type&>;
    requires std::is_convertible_v<T, typename T::type&>;
    requires sizeof(T) == sizeof(void*);
};
template <class T>
concept atomic_like = requires(T& atomic, typename T::value_type value) {
    { T::is_always_lock_free } -> std::convertible_to<bool>;
    atomic.store(value);
};
template <class T>
concept lock_like = !std::is_copy_constructible_v<T> && requires(T& lock) {
    lock.native_handle();
    requires requires { lock.unlock(); } || requires { lock.notify_all(); };
};

template <class T, class... Seen>
consteval auto examine();

template <class... Seen>
consteval auto examine_all(types<>, types<Seen...>) {
    return Fine{};
}

template <class T, class... Ts, class... Seen>
consteval auto examine_all(types<T, Ts...>, types<Seen...> seen) {
    if constexpr (std::is_same_v<decltype(examine<T, Seen...>()), Fine>) {
        return examine_all(types<Ts...>{}, seen);
    } else {
        return examine<T, Seen...>();
    }
}

template <class... Ts>
consteval bool any_array(types<Ts...>) {
    return (std::is_array_v<Ts> || ...);
}

/// Fine or Refused. `Seen` are the types being examined further out: a tree node holds a vector of nodes.
template <class T, class... Seen>
consteval auto examine() {
    if constexpr (std::is_const_v<T>) {
        return examine<std::remove_const_t<T>, Seen...>();
    } else if constexpr ((std::is_same_v<T, Seen> || ...)) {
        return Fine{};
    } else if constexpr (is_pointee<T>::value) {
        using Target = std::remove_const_t<typename is_pointee<T>::type>;
        if constexpr ((std::is_same_v<Target, Seen> || ...)) {
            return Fine{};
        } else if constexpr (std::is_polymorphic_v<Target> && !std::is_final_v<Target>) {
            return Refused<Reason::polymorphic_pointee, Target>{};
        } else {
            return examine<Target, Seen...>();
        }
    } else if constexpr (std::is_reference_v<T>) {
        return Refused<Reason::reference, T>{};
    } else if constexpr (atomic_like<T>) {
        return Refused<Reason::atomic, T>{};
    } else if constexpr (std::is_volatile_v<T>) {
        return Refused<Reason::volatile_, T>{};
    } else if constexpr (bytewise<T>) {
        return Fine{};
    } else if constexpr (has_codec<T>) {
        if constexpr (requires { typename codec<T>::parts; }) {
            return examine_all(typename codec<T>::parts{}, types<T, Seen...>{});
        } else {
            return Fine{};
        }
    } else if constexpr (has_archive<T>) {
        if constexpr (!makeable<T>) {
            return Refused<Reason::no_default, T>{};
        } else if constexpr (!std::is_move_constructible_v<T>) {
            return Refused<Reason::not_movable, T>{};
        } else {
            return Fine{};  // its members are checked where it hands them to the archive
        }
    } else if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T>) {
        return Refused<Reason::pointer, T>{};
    } else if constexpr (std::is_member_pointer_v<T>) {
        return Refused<Reason::member_pointer, T>{};
    } else if constexpr (is_string_view<T>) {
        return Refused<Reason::string_view, T>{};
    } else if constexpr (is_span<T>) {
        return Refused<Reason::span, T>{};
    } else if constexpr (reference_wrapper_like<T>) {
        return Refused<Reason::reference, T>{};
    } else if constexpr (lock_like<T>) {
        return Refused<Reason::lock, T>{};
    } else if constexpr (std::is_union_v<T>) {
        return Refused<Reason::union_, T>{};
    } else if constexpr (std::is_unbounded_array_v<T>) {
        return Refused<Reason::unbounded_array, T>{};
    } else if constexpr (std::is_array_v<T>) {
        return examine<std::remove_all_extents_t<T>, Seen...>();
    } else if constexpr (std::is_polymorphic_v<T>) {
        return Refused<Reason::polymorphic, T>{};
    } else if constexpr (has_visible_members<T>) {
        if constexpr (any_array(member_types<T>{}) && !std::is_default_constructible_v<T>) {
            return Refused<Reason::array_without_default, T>{};
        } else {
            return examine_all(member_types<T>{}, types<T, Seen...>{});
        }
    } else if constexpr (std::is_aggregate_v<T>) {
        return Refused<Reason::hidden_members, T>{};
    } else {
        return Refused<Reason::no_way, T>{};
    }
}

template <class T>
using verdict = decltype(examine<std::remove_cv_t<T>>());

/// Instantiated for a type that is refused: the compiler's first error is the sentence, its note names the culprit.
template <class V>
struct explain {
    static constexpr bool value = true;
};

#define MP_EXPLAIN(reason, sentence)                                                    \
    template <class Culprit>                                                            \
    struct explain<Refused<Reason::reason, Culprit>> {                                  \
        static_assert(!std::is_same_v<Culprit, Culprit>, "multiprocessing: " sentence); \
        static constexpr bool value = false;                                            \
    }

MP_EXPLAIN(pointer,
           "a raw pointer cannot be sent, since it means nothing in another process; send the value itself, "
           "a std::vector or a std::unique_ptr, or share memory with mp::Array");
MP_EXPLAIN(reference, "a reference cannot be sent, since it means nothing in another process; hold the value itself");
MP_EXPLAIN(string_view, "a std::string_view cannot be sent, since it only points to its text; use a std::string");
MP_EXPLAIN(span,
           "a std::span cannot be sent, since it only points to its elements; use a std::vector, or share "
           "memory with mp::Array");
MP_EXPLAIN(member_pointer, "a pointer to member cannot be sent; send a value that says which member is meant");
MP_EXPLAIN(union_, "a union cannot be sent, since nothing says which member is alive; use a std::variant");
MP_EXPLAIN(polymorphic,
           "a class with virtual functions cannot be sent as it stands; give it a member template "
           "`template<class Archive> void serialize(Archive& ar) { ar(a, b); }`, or use a std::variant");
MP_EXPLAIN(polymorphic_pointee,
           "a pointer to a class with virtual functions cannot be sent, since the object may be of "
           "a derived class; use a std::variant, make the class final, or specialise "
           "mp::serial::codec for the pointer");
MP_EXPLAIN(volatile_, "a volatile value cannot be sent; copy it into a plain one");
MP_EXPLAIN(unbounded_array, "an array of unknown length cannot be sent; use a std::vector");
MP_EXPLAIN(array_without_default,
           "an aggregate that holds a C array and has no default constructor cannot be received; "
           "use a std::array for the member");
MP_EXPLAIN(no_default,
           "a class with a serialize member needs a default constructor to be received into; add one (it may "
           "be private with `friend mp::serial::access;`), or specialise mp::serial::codec");
MP_EXPLAIN(not_movable,
           "a class that can be neither copied nor moved cannot be received; make it movable, or send it in "
           "a std::unique_ptr");
MP_EXPLAIN(lock,
           "a lock or condition variable of the standard library works between the threads of one process only; use "
           "mp::Lock, mp::RLock or mp::Condition");
MP_EXPLAIN(atomic, "a std::atomic cannot be sent, since each process would have one of its own; use mp::Value");
MP_EXPLAIN(hidden_members,
           "the members of this aggregate cannot be visited (a base class, a reference, or more than 64 "
           "members); give it a member template "
           "`template<class Archive> void serialize(Archive& ar) { ar(a, b); }`");
MP_EXPLAIN(no_way,
           "the library cannot see what this class consists of; give it a member template "
           "`template<class Archive> void serialize(Archive& ar) { ar(a, b); }`, make it a plain aggregate, or "
           "specialise mp::serial::codec");

#undef MP_EXPLAIN

}  // namespace mp::serial::detail
