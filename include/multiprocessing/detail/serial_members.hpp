/// \file
/// The members of a plain aggregate: how many there are, their types, and a visit to each.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/serial_bind.hpp>

namespace mp::serial::detail {

inline constexpr std::size_t unknown_members = static_cast<std::size_t>(-1);

/// Stands for any value while counting; never called. Has bodies, since clang takes a use in `requires` for real where
/// T is local to a source file.
struct Anything {
    template <class T>
    operator T() const noexcept {  // NOLINT(google-explicit-constructor)
        __builtin_unreachable();
    }
};

/// Stands for a base class of T only.
template <class T>
struct AnyBase {
    template <class B>
        requires(std::is_base_of_v<B, T> && !std::is_same_v<B, T>)
    operator B() const noexcept {  // NOLINT(google-explicit-constructor)
        __builtin_unreachable();
    }
};

template <std::size_t>
using anything_at = Anything;

template <class T, std::size_t... I>
consteval bool makes(std::index_sequence<I...>) {
    return requires { T{anything_at<I>{}...}; };
}

/// Whether T can be made from `N` values; each element of a member array counts.
template <class T>
struct MadeFrom {
    template <std::size_t N>
    static constexpr bool holds = makes<T>(std::make_index_sequence<N>{});
};

template <class T, std::size_t... I, std::size_t... J>
consteval bool makes_braced(std::index_sequence<I...>, std::index_sequence<J...>) {
    return requires { T{anything_at<I>{}..., {}, anything_at<J>{}...}; };
}

/// Whether T can be made from `Before` values, a `{}`, which stands for a whole member even where that is an array,
/// and `N` more values.
template <class T, std::size_t Before>
struct MadeAround {
    template <std::size_t N>
    static constexpr bool holds = makes_braced<T>(std::make_index_sequence<Before>{}, std::make_index_sequence<N>{});
};

template <class T, std::size_t... I>
consteval bool makes_from_base(std::index_sequence<I...>) {
    return requires { T{AnyBase<T>{}, anything_at<I>{}...}; };
}

/// The fewest values that T can be made from: those up to its last member without a default.
template <class T, std::size_t N = 0>
consteval std::size_t fewest_values() {
    if constexpr (MadeFrom<T>::template holds<N>) {
        return N;
    } else if constexpr (N < max_members) {
        return fewest_values<T, N + 1>();
    } else {
        return unknown_members;
    }
}

/// The last number that the predicate holds for, between Good, where it does, and Bad, where it no longer does.
template <class P, std::size_t Good, std::size_t Bad>
consteval std::size_t bisect() {
    if constexpr (Good + 1 >= Bad) {
        return Good;
    } else if constexpr (constexpr std::size_t middle = (Good + Bad) / 2; P::template holds<middle>) {
        return bisect<P, middle, Bad>();
    } else {
        return bisect<P, Good, (Good + Bad) / 2>();
    }
}

/// The most values that T can be made from, knowing that Good is not too many.
template <class T, std::size_t Good, std::size_t Step = 1>
consteval std::size_t most_values() {
    if constexpr (Good > 4096) {
        return unknown_members;  // too slow to compile
    } else if constexpr (MadeFrom<T>::template holds<Good + Step>) {
        return most_values<T, Good + Step, 2 * Step>();
    } else {
        return bisect<MadeFrom<T>, Good, Good + Step>();
    }
}

/// Counts the members that `Values` values make, the first `Before` of which are done with.
template <class T, std::size_t Values, std::size_t Before = 0, std::size_t Members = 0>
consteval std::size_t count_members_from() {
    using Around = MadeAround<T, Before>;
    if constexpr (Before == Values) {
        return Members;
    } else if constexpr (Members == max_members) {
        return unknown_members;
    } else if constexpr (Around::template holds<Values - Before - 1> || !Around::template holds<0>) {
        return count_members_from<T, Values, Before + 1, Members + 1>();
    } else {  // `{}` used up several values: an array
        constexpr std::size_t after = bisect<Around, 0, Values - Before - 1>();
        return count_members_from<T, Values, Values - after, Members + 1>();
    }
}

template <class T>
consteval std::size_t count_members() {
    if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T>) {
        return unknown_members;
    } else if constexpr (constexpr std::size_t fewest = fewest_values<T>(); fewest == unknown_members) {
        return unknown_members;
    } else if constexpr (constexpr std::size_t most = most_values<T, fewest>(); most == unknown_members) {
        return unknown_members;
    } else if constexpr (most == 0) {
        return 0;
    } else if constexpr (makes_from_base<T>(std::make_index_sequence<most - 1>{})) {
        return unknown_members;  // members of bases cannot be bound together with one's own
    } else {
        return count_members_from<T, most>();
    }
}

template <class T>
inline constexpr std::size_t member_count = count_members<T>();

/// A plain aggregate without base classes, of up to 64 members.
template <class T>
concept has_visible_members = member_count<T> != unknown_members;

/// Calls `f` with all members of `object`.
template <class T, class F>
    requires has_visible_members<std::remove_cv_t<T>>
constexpr decltype(auto) visit_members(T& object, F&& f) {
    return bind_members<member_count<std::remove_cv_t<T>>>(object, f);
}

/// `types<...>` with the declared types of the members.
template <class T>
    requires has_visible_members<T>
using member_types = decltype(bind_types<member_count<T>>(std::declval<T&>()));

}  // namespace mp::serial::detail
