/// \file
/// Codecs of the standard sequences: strings, vectors, lists, arrays. Elements that are plain bytes go as one block.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <forward_list>
#include <iterator>
#include <list>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <valarray>
#include <vector>

#include <multiprocessing/detail/serial_core.hpp>

namespace mp::serial {
namespace detail {

/// Marks the codecs below that copy elements as one block: a program may specialise them for its own element types.
struct library_run {};

/// The number of elements and their bytes.
template <class T>
void put_run(Writer& writer, const T* elements, std::size_t count) {
    const std::uint64_t number = count;
    std::byte* to = writer.extend(sizeof number + count * sizeof(T));
    std::memcpy(to, &number, sizeof number);
    if (count != 0) {
        std::memcpy(to + sizeof number, elements, count * sizeof(T));
    }
}

template <class C>
C take_run(Reader& reader) {
    using T = typename C::value_type;
    const std::size_t count = reader.count(sizeof(T));
    const std::byte* from = reader.view(count * sizeof(T));
    if constexpr (accepts_any_bytes<T>()) {
        // Where the message happens to be aligned for T, without filling with zeroes first.
        if (reinterpret_cast<std::uintptr_t>(from) % alignof(T) == 0) {
            const T* elements = reinterpret_cast<const T*>(from);
            return C(elements, elements + count);
        }
    }
    if constexpr (std::is_default_constructible_v<T>) {
        C out(count, T());
        if (count != 0) {
            std::memcpy(static_cast<void*>(out.data()), from, count * sizeof(T));
        }
        for (const T& element : out) {
            check_bytes(element);
        }
        return out;
    } else {
        C out;
        out.reserve(count);
        for (Reader one({from, count * sizeof(T)}); out.size() != count;) {
            out.push_back(take_bytes<T>(one));
        }
        return out;
    }
}

template <class C>
struct sequence_codec {
    using T = typename C::value_type;
    using parts = types<T>;

    static void encode(Writer& writer, const C& sequence) {
        const Nesting nesting(writer);
        put_count(writer, sequence.size());
        for (const auto& element : sequence) {
            put_element<T>(writer, element);
        }
    }

    static C decode(Reader& reader) {
        const Nesting nesting(reader);
        const std::size_t count = reader.count();
        C out;
        if constexpr (requires { out.reserve(count); }) {
            out.reserve(reader.allowance(count, sizeof(T)));
        }
        for (std::size_t i = 0; i != count; ++i) {
            out.push_back(take_element<T>(reader));
        }
        return out;
    }
};

}  // namespace detail

/// \cond internal
template <class T, class A>
struct codec<std::vector<T, A>> : detail::sequence_codec<std::vector<T, A>> {};
template <class T, class A>
struct codec<std::deque<T, A>> : detail::sequence_codec<std::deque<T, A>> {};
template <class T, class A>
struct codec<std::list<T, A>> : detail::sequence_codec<std::list<T, A>> {};

template <class T, class A>
    requires(bytewise<T> && !std::is_same_v<T, bool>)
struct codec<std::vector<T, A>> : detail::library_run {
    static void encode(Writer& writer, const std::vector<T, A>& vector) {
        detail::put_run(writer, vector.data(), vector.size());
    }
    static std::vector<T, A> decode(Reader& reader) { return detail::take_run<std::vector<T, A>>(reader); }
};

template <class C, class R, class A>
    requires bytewise<C>
struct codec<std::basic_string<C, R, A>> : detail::library_run {
    static void encode(Writer& writer, const std::basic_string<C, R, A>& text) {
        detail::put_run(writer, text.data(), text.size());
    }
    static std::basic_string<C, R, A> decode(Reader& reader) {
        return detail::take_run<std::basic_string<C, R, A>>(reader);
    }
};

/// Eight to the byte.
template <class A>
struct codec<std::vector<bool, A>> {
    static void encode(Writer& writer, const std::vector<bool, A>& bits) {
        detail::put_count(writer, bits.size());
        std::byte* to = writer.extend(bits.size() / 8 + (bits.size() % 8 != 0));
        std::byte byte{0};
        for (std::size_t i = 0; i != bits.size(); ++i) {
            byte |= std::byte{bits[i]} << (i % 8);
            if (i % 8 == 7 || i + 1 == bits.size()) {
                *to++ = std::exchange(byte, std::byte{0});
            }
        }
    }
    static std::vector<bool, A> decode(Reader& reader) {
        std::uint64_t count;
        reader.read(&count, sizeof count);
        const std::uint64_t bytes = count / 8 + (count % 8 != 0);
        if (bytes > reader.remaining()) {
            detail::fail_count(count, reader.remaining());
        }
        const std::byte* from = reader.view(bytes);
        std::vector<bool, A> bits(count);
        for (std::size_t i = 0; i != count; ++i) {
            bits[i] = (from[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0};
        }
        return bits;
    }
};

template <class T, class A>
struct codec<std::forward_list<T, A>> {
    using parts = types<T>;
    static void encode(Writer& writer, const std::forward_list<T, A>& list) {
        const detail::Nesting nesting(writer);
        detail::put_count(writer, static_cast<std::size_t>(std::distance(list.begin(), list.end())));
        for (const T& element : list) {
            detail::put_element(writer, element);
        }
    }
    static std::forward_list<T, A> decode(Reader& reader) {
        const detail::Nesting nesting(reader);
        std::forward_list<T, A> out;
        auto last = out.before_begin();
        for (std::size_t left = reader.count(); left != 0; --left) {
            last = out.insert_after(last, detail::take_element<T>(reader));
        }
        return out;
    }
};

template <class T, std::size_t N>
struct codec<std::array<T, N>> {
    using parts = types<T>;
    static void encode(Writer& writer, const std::array<T, N>& array) {
        for (const T& element : array) {
            detail::put(writer, element);
        }
    }
    static std::array<T, N> decode(Reader& reader) {
        if constexpr (std::is_default_constructible_v<T>) {
            std::array<T, N> array{};
            for (T& element : array) {
                detail::take_into(reader, element);
            }
            return array;
        } else {
            return [&reader]<std::size_t... I>(std::index_sequence<I...>) {
                return std::array<T, N>{((void)I, detail::take<T>(reader))...};
            }(std::make_index_sequence<N>{});
        }
    }
};

template <std::size_t N>
struct codec<std::bitset<N>> {
    static void encode(Writer& writer, const std::bitset<N>& bits) {
        for (std::size_t i = 0; i < N; i += 8) {
            unsigned byte = 0;
            for (std::size_t j = i; j < N && j < i + 8; ++j) {
                byte |= static_cast<unsigned>(bits[j]) << (j - i);
            }
            *writer.extend(1) = static_cast<std::byte>(byte);
        }
    }
    static std::bitset<N> decode(Reader& reader) {
        std::bitset<N> bits;
        for (std::size_t i = 0; i < N; i += 8) {
            const auto byte = std::to_integer<unsigned>(*reader.view(1));
            for (std::size_t j = i; j < N && j < i + 8; ++j) {
                bits[j] = (byte >> (j - i) & 1) != 0;
            }
        }
        return bits;
    }
};

template <class T>
struct codec<std::valarray<T>> {
    using parts = types<T>;
    static void encode(Writer& writer, const std::valarray<T>& array) {
        const detail::Nesting nesting(writer);
        detail::put_count(writer, array.size());
        for (const T& element : array) {
            detail::put_element(writer, element);
        }
    }
    static std::valarray<T> decode(Reader& reader) {
        const detail::Nesting nesting(reader);
        std::vector<T> elements = detail::sequence_codec<std::vector<T>>::decode(reader);
        std::valarray<T> out(elements.size());
        std::move(elements.begin(), elements.end(), std::begin(out));
        return out;
    }
};
/// \endcond

}  // namespace mp::serial
