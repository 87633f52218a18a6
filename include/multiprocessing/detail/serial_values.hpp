/// \file
/// Codecs of standard types that hold a fixed number of values: pairs, tuples, optionals, variants, paths, handles.
#pragma once

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <multiprocessing/detail/serial_core.hpp>
#include <multiprocessing/detail/serial_sequences.hpp>

namespace mp::serial {

/// \cond internal
template <>
struct codec<Handle> {
    static void encode(Writer& writer, const Handle& handle) {
        detail::put(writer, static_cast<bool>(handle));
        if (handle) {
            writer.attach(handle);
        }
    }
    static Handle decode(Reader& reader) { return detail::take<bool>(reader) ? reader.take_handle() : Handle(); }
};

template <class A, class B>
struct codec<std::pair<A, B>> {
    using parts = types<A, B>;
    static void encode(Writer& writer, const std::pair<A, B>& pair) {
        detail::put<std::remove_const_t<A>>(writer, pair.first);
        detail::put<std::remove_const_t<B>>(writer, pair.second);
    }
    static std::pair<A, B> decode(Reader& reader) {
        return std::pair<A, B>{detail::take<std::remove_const_t<A>>(reader),
                               detail::take<std::remove_const_t<B>>(reader)};
    }
};

template <class... Ts>
struct codec<std::tuple<Ts...>> {
    using parts = types<Ts...>;
    static void encode(Writer& writer, const std::tuple<Ts...>& tuple) {
        std::apply([&](const Ts&... values) { (detail::put<std::remove_const_t<Ts>>(writer, values), ...); }, tuple);
    }
    static std::tuple<Ts...> decode([[maybe_unused]] Reader& reader) {
        return std::tuple<Ts...>{detail::take<std::remove_const_t<Ts>>(reader)...};  // braces: in order
    }
};

template <class T>
struct codec<std::optional<T>> {
    using parts = types<T>;
    static void encode(Writer& writer, const std::optional<T>& optional) {
        detail::put(writer, optional.has_value());
        if (optional) {
            detail::put<std::remove_const_t<T>>(writer, *optional);
        }
    }
    static std::optional<T> decode(Reader& reader) {
        if (!detail::take<bool>(reader)) {
            return std::nullopt;
        }
        return std::optional<T>(std::in_place, detail::take<std::remove_const_t<T>>(reader));
    }
};

template <class... Ts>
struct codec<std::variant<Ts...>> {
    using parts = types<Ts...>;
    using V = std::variant<Ts...>;

    static void encode(Writer& writer, const V& variant) {
        if (variant.valueless_by_exception()) {
            detail::fail_pack("a std::variant lost its value to an exception");
        }
        detail::put(writer, static_cast<std::uint16_t>(variant.index()));
        std::visit([&writer](const auto& value) { detail::put(writer, value); }, variant);
    }

    static V decode(Reader& reader) {
        const auto index = detail::take<std::uint16_t>(reader);
        if (index >= sizeof...(Ts)) {
            detail::fail_value("a std::variant has no such alternative");
        }
        return []<std::size_t... I>(std::size_t at, Reader& from, std::index_sequence<I...>) {
            using Take = V (*)(Reader&);
            static constexpr std::array<Take, sizeof...(Ts)> takers{&take_alternative<I>...};
            return takers[at](from);
        }(index, reader, std::index_sequence_for<Ts...>{});
    }

  private:
    template <std::size_t I>
    static V take_alternative(Reader& reader) {
        return V(std::in_place_index<I>, detail::take<std::variant_alternative_t<I, V>>(reader));
    }
};

template <>
struct codec<std::filesystem::path> {
    static void encode(Writer& writer, const std::filesystem::path& path) { detail::put(writer, path.native()); }
    static std::filesystem::path decode(Reader& reader) { return {detail::take<std::string>(reader)}; }
};

/// Of the system and the generic category: others are objects of the process that made them.
template <>
struct codec<std::error_code> {
    static void encode(Writer& writer, const std::error_code& code) {
        const bool system = code.category() == std::system_category();
        if (!system && code.category() != std::generic_category()) {
            detail::fail_pack("a std::error_code of a category other than system and generic cannot be sent");
        }
        detail::put(writer, system);
        detail::put(writer, code.value());
    }
    static std::error_code decode(Reader& reader) {
        const bool system = detail::take<bool>(reader);
        return {detail::take<int>(reader), system ? std::system_category() : std::generic_category()};
    }
};
/// \endcond

}  // namespace mp::serial
