/// \file
/// Ranges of integers of which only the bounds travel, and cutting a range into even parts.
#pragma once

#include <algorithm>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ranges>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace mp {

namespace detail {

template <class T>
concept range_integer = std::integral<T> && !std::same_as<std::remove_cv_t<T>, bool> && sizeof(T) <= 8;

/// The type that holds the values of both bounds: of one sign when they agree, else signed as long as it fits.
template <class A, class B>
struct RangeType {
    static constexpr bool mixed = std::is_signed_v<A> != std::is_signed_v<B>;
    using Unsigned = std::conditional_t<std::is_signed_v<A>, B, A>;
    using type = std::conditional_t<!mixed, std::common_type_t<A, B>,
                                    std::conditional_t<(sizeof(Unsigned) < 8), std::int64_t, std::uint64_t>>;
};
template <class A>
struct RangeType<A, A> {
    using type = A;
};

}  // namespace detail

/// The integers of a half-open interval [first, last) as a random-access, sized, borrowed view. Two numbers: cheap to
/// copy, and a pool that is given one sends bounds instead of values. Made by range().
template <class T>
    requires detail::range_integer<T>
class Range : public std::ranges::view_interface<Range<T>> {
    // Sums and differences wrap in the unsigned type, so that neither the lowest nor the highest bound overflows.
    using Bits = std::make_unsigned_t<T>;

  public:
    class Iterator;
    using value_type = T;
    using size_type = std::uint64_t;

    /// Empty.
    constexpr Range() = default;

    /// [first, last); empty when last is not above first.
    constexpr Range(T first, T last) noexcept : first_(first), last_(std::max(first, last)) {}

    constexpr Iterator begin() const noexcept { return Iterator(first_); }
    constexpr Iterator end() const noexcept { return Iterator(last_); }

    /// Exact for every T. A distance between iterators is 64 bits signed and so wraps above 2^63.
    constexpr size_type size() const noexcept {
        return static_cast<Bits>(static_cast<Bits>(last_) - static_cast<Bits>(first_));
    }
    /// Whether it has no elements.
    constexpr bool empty() const noexcept { return first_ == last_; }

    /// The value at `index`, which must be below size().
    constexpr T operator[](size_type index) const noexcept {
        return static_cast<T>(static_cast<Bits>(first_) + static_cast<Bits>(index));
    }

    /// `count` values from index `from` on; both are cut to what there is.
    constexpr Range subrange(size_type from, size_type count) const noexcept {
        from = std::min(from, size());
        count = std::min(count, size() - from);
        return Range((*this)[from], (*this)[from + count]);
    }

    friend constexpr bool operator==(const Range& a, const Range& b) noexcept {
        return a.first_ == b.first_ && a.last_ == b.last_;
    }

    /// For archives. A pair of bounds that is the wrong way round becomes an empty range.
    template <class Archive>
    void serialize(Archive& archive) {
        archive(first_, last_);
        if (last_ < first_) last_ = first_;
    }

  private:
    T first_ = 0;
    T last_ = 0;
};

/// An integer that pretends to be an iterator: dereferencing gives its value.
template <class T>
    requires detail::range_integer<T>
class Range<T>::Iterator {
  public:
    using iterator_concept = std::random_access_iterator_tag;
    // Older algorithms ask for this one. They are given what makes them fast, although values are returned, not
    // references, which C++17 would have called an input iterator.
    using iterator_category = std::random_access_iterator_tag;
    using value_type = T;
    using difference_type = std::int64_t;
    using pointer = void;
    using reference = T;

    constexpr Iterator() = default;
    constexpr explicit Iterator(T value) noexcept : value_(value) {}

    constexpr T operator*() const noexcept { return value_; }
    constexpr T operator[](difference_type n) const noexcept { return plus(value_, n); }

    constexpr Iterator& operator++() noexcept { return *this += 1; }
    constexpr Iterator& operator--() noexcept { return *this -= 1; }
    constexpr Iterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
    constexpr Iterator operator--(int) noexcept { return std::exchange(*this, *this - 1); }
    constexpr Iterator& operator+=(difference_type n) noexcept {
        value_ = plus(value_, n);
        return *this;
    }
    constexpr Iterator& operator-=(difference_type n) noexcept {
        value_ = static_cast<T>(static_cast<Bits>(value_) - static_cast<Bits>(n));
        return *this;
    }

    friend constexpr Iterator operator+(Iterator i, difference_type n) noexcept { return i += n; }
    friend constexpr Iterator operator+(difference_type n, Iterator i) noexcept { return i += n; }
    friend constexpr Iterator operator-(Iterator i, difference_type n) noexcept { return i -= n; }
    friend constexpr difference_type operator-(Iterator a, Iterator b) noexcept {
        return static_cast<difference_type>(static_cast<std::uint64_t>(a.value_) -
                                            static_cast<std::uint64_t>(b.value_));
    }
    friend constexpr bool operator==(Iterator a, Iterator b) noexcept { return a.value_ == b.value_; }
    friend constexpr auto operator<=>(Iterator a, Iterator b) noexcept { return a.value_ <=> b.value_; }

  private:
    static constexpr T plus(T value, difference_type n) noexcept {
        return static_cast<T>(static_cast<Bits>(value) + static_cast<Bits>(n));
    }

    T value_ = 0;
};

/// The integers first, first + 1, … last - 1; empty when last is not above first. Bounds of different types meet in a
/// type that holds both: `range(0, values.size())` counts in the unsigned one.
/// \throws std::invalid_argument when one bound is negative and the other of an unsigned 64-bit type.
template <class A, class B>
    requires detail::range_integer<A> && detail::range_integer<B>
constexpr auto range(A first, B last) {
    using T = typename detail::RangeType<A, B>::type;
    if (!std::in_range<T>(first) || !std::in_range<T>(last))
        throw std::invalid_argument("mp::range: a negative bound beside an unsigned 64-bit one");
    return Range<T>(static_cast<T>(first), static_cast<T>(last));
}

/// The integers 0, 1, … last - 1.
template <class T>
    requires detail::range_integer<T>
constexpr Range<T> range(T last) noexcept {
    return Range<T>(T(0), last);
}

namespace detail {

template <class T>
inline constexpr bool is_range = false;
template <class T>
inline constexpr bool is_range<Range<T>> = true;

/// Calls part(from, size) for each of `parts` even parts of `length` elements.
template <class Part>
constexpr void for_each_part(std::uint64_t length, std::uint64_t parts, Part part) {
    const std::uint64_t size = length / parts;
    const std::uint64_t longer = length % parts;
    std::uint64_t from = 0;
    for (std::uint64_t i = 0; i < parts; ++i) {
        const std::uint64_t count = size + (i < longer ? 1 : 0);
        part(from, count);
        from += count;
    }
}

}  // namespace detail

/// Cuts `r` into `n` consecutive parts as even as possible, as numpy.array_split does: the first len % n of them are
/// one longer, and when n exceeds the length the last ones are empty. Nothing is copied: the parts of a Range are
/// Ranges, those of anything else are std::ranges::subrange into it, valid as long as its iterators are.
/// \throws std::invalid_argument when n is not at least 1.
template <std::ranges::random_access_range R, std::integral N>
    requires std::ranges::sized_range<R> && std::ranges::borrowed_range<R>
constexpr auto split(R&& r, N n) {
    if (std::cmp_less(n, 1)) throw std::invalid_argument("mp::split: the number of parts must be at least 1");
    const auto parts = static_cast<std::uint64_t>(n);
    const auto length = static_cast<std::uint64_t>(std::ranges::size(r));
    if constexpr (detail::is_range<std::remove_cvref_t<R>>) {
        std::vector<std::remove_cvref_t<R>> result;
        result.reserve(parts);
        detail::for_each_part(length, parts, [&](auto from, auto count) { result.push_back(r.subrange(from, count)); });
        return result;
    } else {
        using Iterator = std::ranges::iterator_t<R>;
        using Difference = std::ranges::range_difference_t<R>;
        std::vector<std::ranges::subrange<Iterator>> result;
        result.reserve(parts);
        const Iterator begin = std::ranges::begin(r);
        detail::for_each_part(length, parts, [&](auto from, auto count) {
            const Iterator first = begin + static_cast<Difference>(from);
            result.emplace_back(first, first + static_cast<Difference>(count));
        });
        return result;
    }
}

}  // namespace mp

/// \cond
template <class T>
inline constexpr bool std::ranges::enable_borrowed_range<mp::Range<T>> = true;
/// \endcond
