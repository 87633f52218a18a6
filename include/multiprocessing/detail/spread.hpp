/// \file
/// Calling a function with one element (map) or with the parts of one (starmap).
#pragma once

#include <functional>
#include <tuple>
#include <utility>

#include <multiprocessing/detail/serial_members.hpp>

namespace mp::detail {

template <class T>
concept tuple_like = requires { std::tuple_size<T>::value; };

/// map: the element itself.
struct Plain {
    template <class F, class T>
    static decltype(auto) call(F& function, T&& element) {
        return std::invoke(function, std::forward<T>(element));
    }
};

/// starmap: the members of a tuple, pair, array or plain aggregate, in order.
struct Spread {
    template <class F, class T>
    static decltype(auto) call(F& function, T&& element) {
        if constexpr (tuple_like<std::remove_cvref_t<T>>) {
            return std::apply(function, std::forward<T>(element));
        } else {
            return serial::detail::visit_members(element, [&](auto&... members) -> decltype(auto) {
                return std::invoke(function, std::move(members)...);
            });
        }
    }
};

template <class How, class F, class T>
using element_result = decltype(How::call(std::declval<F&>(), std::declval<T>()));

}  // namespace mp::detail
