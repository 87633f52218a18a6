/// \file
/// Codecs of the standard sets and maps. A stateful comparison or hash cannot be sent: those have no codec.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <multiprocessing/detail/serial_core.hpp>

namespace mp::serial {
namespace detail {

template <class C>
struct set_codec {
    using K = typename C::key_type;
    using parts = types<K>;

    static void encode(Writer& writer, const C& set) {
        const Nesting nesting(writer);
        put_count(writer, set.size());
        for (const K& key : set) {
            put_element(writer, key);
        }
    }

    static C decode(Reader& reader) {
        const Nesting nesting(reader);
        const std::size_t count = reader.count();
        C out;
        if constexpr (requires { out.reserve(count); }) {
            out.reserve(reader.allowance(count, sizeof(K)));
        }
        for (std::size_t i = 0; i != count; ++i) {
            out.emplace_hint(out.end(), take_element<K>(reader));  // sets arrive in their order
        }
        return out;
    }
};

template <class C>
struct map_codec {
    using K = typename C::key_type;
    using V = typename C::mapped_type;
    using parts = types<K, V>;

    static void encode(Writer& writer, const C& map) {
        const Nesting nesting(writer);
        put_count(writer, map.size());
        for (const auto& [key, value] : map) {
            put_element(writer, key);
            put(writer, value);
        }
    }

    static C decode(Reader& reader) {
        const Nesting nesting(reader);
        const std::size_t count = reader.count();
        C out;
        if constexpr (requires { out.reserve(count); }) {
            out.reserve(reader.allowance(count, sizeof(K) + sizeof(V)));
        }
        for (std::size_t i = 0; i != count; ++i) {
            K key = take_element<K>(reader);
            out.emplace_hint(out.end(), std::move(key), take<V>(reader));
        }
        return out;
    }
};

}  // namespace detail

/// \cond internal
template <class K, class L, class A>
    requires std::is_empty_v<L>
struct codec<std::set<K, L, A>> : detail::set_codec<std::set<K, L, A>> {};
template <class K, class L, class A>
    requires std::is_empty_v<L>
struct codec<std::multiset<K, L, A>> : detail::set_codec<std::multiset<K, L, A>> {};
template <class K, class H, class E, class A>
    requires(std::is_empty_v<H> && std::is_empty_v<E>)
struct codec<std::unordered_set<K, H, E, A>> : detail::set_codec<std::unordered_set<K, H, E, A>> {};
template <class K, class H, class E, class A>
    requires(std::is_empty_v<H> && std::is_empty_v<E>)
struct codec<std::unordered_multiset<K, H, E, A>> : detail::set_codec<std::unordered_multiset<K, H, E, A>> {};

template <class K, class V, class L, class A>
    requires std::is_empty_v<L>
struct codec<std::map<K, V, L, A>> : detail::map_codec<std::map<K, V, L, A>> {};
template <class K, class V, class L, class A>
    requires std::is_empty_v<L>
struct codec<std::multimap<K, V, L, A>> : detail::map_codec<std::multimap<K, V, L, A>> {};
template <class K, class V, class H, class E, class A>
    requires(std::is_empty_v<H> && std::is_empty_v<E>)
struct codec<std::unordered_map<K, V, H, E, A>> : detail::map_codec<std::unordered_map<K, V, H, E, A>> {};
template <class K, class V, class H, class E, class A>
    requires(std::is_empty_v<H> && std::is_empty_v<E>)
struct codec<std::unordered_multimap<K, V, H, E, A>> : detail::map_codec<std::unordered_multimap<K, V, H, E, A>> {};
/// \endcond

}  // namespace mp::serial
