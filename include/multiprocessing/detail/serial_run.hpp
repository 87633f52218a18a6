/// \file
/// Long vectors and strings without a copy in between: their bytes go from the sender's object into shared memory, and
/// from there into the receiver's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <multiprocessing/detail/serial_sequences.hpp>

namespace mp::serial::detail {

template <class T>
inline constexpr bool is_run = false;
template <class T, class A>
inline constexpr bool is_run<std::vector<T, A>> =
    bytewise<T> && !std::is_same_v<T, bool> && std::is_default_constructible_v<T>;
template <class C, class R, class A>
inline constexpr bool is_run<std::basic_string<C, R, A>> = bytewise<C>;

/// Copying it, either way, runs none of the program's code - no allocator, no traits, no constructor of an element, no
/// codec in the place of the library's - so that any thread may do it. In a message it is aligned to 8 bytes.
template <class C>
inline constexpr bool is_plain_run = false;
template <class T>
inline constexpr bool is_plain_run<std::vector<T>> =
    is_run<std::vector<T>> && std::is_base_of_v<library_run, codec<std::vector<T>>> &&
    (std::is_trivially_default_constructible_v<T> || (accepts_any_bytes<T>() && alignof(T) <= alignof(std::uint64_t)));
template <class C>
inline constexpr bool is_plain_run<std::basic_string<C>> =
    std::is_arithmetic_v<C> && std::is_base_of_v<library_run, codec<std::basic_string<C>>>;

/// Shorter ones are not worth a way of their own.
inline constexpr std::size_t least_direct = 64 << 10;

/// As a message, a number of elements (8 bytes) and their bytes: what put_run writes.
template <class C>
concept run = is_run<C>;

template <class C>
concept plain_run = is_plain_run<C>;

/// The two parts of that message, the elements where they lie. For as long as the sequence is not touched.
template <run C>
class RunParts {
  public:
    explicit RunParts(const C& sequence)
        : count_(sequence.size()), elements_(std::as_bytes(std::span(sequence.data(), sequence.size()))) {}
    bool is_long() const { return elements_.size() >= least_direct; }
    std::span<const std::byte> count() const { return std::as_bytes(std::span(&count_, 1)); }
    std::span<const std::byte> elements() const { return elements_; }

  private:
    std::uint64_t count_;
    std::span<const std::byte> elements_;
};

/// Where the bytes of a run go that is being received.
class RunPlace {
  public:
    /// Memory for `size` bytes that are said to be `count` elements; null when they cannot be. What an earlier call
    /// gave is not used any more.
    virtual std::byte* make(std::uint64_t count, std::size_t size) = 0;

  protected:
    ~RunPlace() = default;
};

template <run C>
class RunInto final : public RunPlace {
    using T = typename C::value_type;

  public:
    std::byte* make(std::uint64_t count, std::size_t size) override {
        if (size / sizeof(T) != count || size % sizeof(T) != 0) return nullptr;
        sequence_ = C(static_cast<std::size_t>(count), T());
        return reinterpret_cast<std::byte*>(sequence_.data());
    }
    /// Throws SerializationError when the bytes that came are no such elements.
    C take() {
        if constexpr (!accepts_any_bytes<T>())
            for (const T& element : sequence_) check_bytes(element);
        return std::move(sequence_);
    }

  private:
    C sequence_;
};

}  // namespace mp::serial::detail
