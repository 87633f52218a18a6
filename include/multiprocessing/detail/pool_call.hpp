/// \file
/// Between the pool's typed face and its compiled core: calls turned into bytes and entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/detail/in_parallel.hpp>
#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/detail/serial_run.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/function.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/pool_options.hpp>
#include <multiprocessing/range.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp::detail {

/// Waits until a map is over; meanwhile shows or tells its progress, as `options` want it.
MP_EXPORT void wait_for(PendingMap& map, const CallOptions& options);

/// The progress of a stream, told as its results are taken. Does nothing unless `options` want it.
class MP_EXPORT StreamProgress {
  public:
    /// `total`: none when nobody knows.
    StreamProgress(const CallOptions& options, std::optional<std::uint64_t> total, Engine& engine);
    ~StreamProgress();
    StreamProgress(const StreamProgress&) = delete;
    StreamProgress& operator=(const StreamProgress&) = delete;

    /// One more has ended.
    void one(bool failed) {
        if (state_) count(failed);
    }
    /// All have.
    void finish();

  private:
    void count(bool failed);
    struct State;
    std::unique_ptr<State> state_;
};

template <class F>
CallableSpec describe_callable(const EntryRecord& entry, const F& function) {
    CallableSpec spec;
    spec.entry = &entry;
    spec.function = &function;
    spec.encode = [](serial::Writer& writer, const void* object) {
        encode_callable(writer, *static_cast<const F*>(object));
    };
    if constexpr (std::is_empty_v<F>) {
        spec.keyed = true;
    } else if constexpr (std::is_pointer_v<F> || (captures_plain_bytes<F> && std::is_trivially_copyable_v<F> &&
                                                  std::has_unique_object_representations_v<F>)) {
        // No pointers but the function itself: an address may come to mean another plugin's function.
        spec.key = std::as_bytes(std::span(&function, 1));
        spec.keyed = true;
    }
    if constexpr (std::is_pointer_v<F>) spec.code = reinterpret_cast<const void*>(function);
    spec.type = &typeid(F);
    return spec;
}

/// The sentence for a task that cannot be called as it was given; none where an argument has one of its own.
template <class F, class... Args>
constexpr void check_task() {
    check_callable<F>();
    (serial::check_serializable<task_argument<Args>>(), ...);
    if constexpr (portable_callable<F> && (serial::serializable<task_argument<Args>> && ...)) {
        constexpr bool callable = std::is_invocable_v<F&, task_argument<Args>...>;
        constexpr bool changes_argument = !callable && std::is_invocable_v<F&, task_argument<Args>&...>;
        static_assert(!changes_argument,
                      "submit: the function takes an argument by reference, but has a copy in another process; take it by "
                      "value or by const reference and return the result, or hand over an mp::Value or mp::Array");
        static_assert(callable || changes_argument,
                      "submit: the function cannot be called with these arguments (they are passed by value; text literals "
                      "as std::string)");
    }
}
/// Whether check_task had nothing to say.
template <class F, class... Args>
inline constexpr bool callable_task = portable_callable<F> && (serial::serializable<task_argument<Args>> && ...) &&
                                      std::is_invocable_v<F&, task_argument<Args>...>;

template <class F, class T, std::size_t... I>
consteval bool applicable(std::index_sequence<I...>) {
    return std::is_invocable_v<F&, std::tuple_element_t<I, T>...>;
}
template <class F, class... Members>
consteval bool applicable(serial::types<Members...>) {
    return std::is_invocable_v<F&, std::remove_reference_t<Members>&&...>;
}

// Asked without naming the call, whose return type could not be deduced: that would be an error before the sentence.
template <class F, class How, class T>
consteval bool is_callable_with() {
    if constexpr (!std::is_same_v<How, Spread>) return std::is_invocable_v<F&, T>;
    else if constexpr (tuple_like<T>) return applicable<F, T>(std::make_index_sequence<std::tuple_size_v<T>>{});
    else if constexpr (serial::detail::has_visible_members<T>) return applicable<F>(serial::detail::member_types<T>{});
    else return false;
}
template <class F, class How, class T>
inline constexpr bool callable_with = is_callable_with<F, How, T>();

template <class F, class How, class T>
constexpr void check_map() {
    check_callable<F>();
    serial::check_serializable<T>();
    constexpr bool changes_element = std::is_same_v<How, Plain> && !callable_with<F, How, T> && std::is_invocable_v<F&, T&>;
    static_assert(!changes_element,
                  "map: the function takes its element by reference, but has a copy in another process; take it by value or "
                  "by const reference and return the result, or change the elements of an mp::Array in place with for_each");
    static_assert(changes_element || std::is_same_v<How, Spread> || callable_with<F, How, T>,
                  "map: the function cannot be called with an element of the range (for several arguments use starmap)");
    static_assert(!std::is_same_v<How, Spread> || callable_with<F, How, T>,
                  "starmap: the function cannot be called with the members of an element of the range");
    if constexpr (callable_with<F, How, T>) {
        using R = std::remove_cvref_t<element_result<How, F, T>>;
        if constexpr (!std::is_void_v<R>) serial::check_serializable<R>();
    }
}

/// The input of a map as bytes that the workers can read.
template <class T>
struct MapInput {
    std::uint64_t count = 0;
    // When the range is not an array itself. A std::vector<bool> would be none either.
    std::vector<std::conditional_t<std::is_same_v<T, bool>, unsigned char, T>> copies{};
    std::unique_ptr<InputMemory> encoded{};
    std::vector<std::uint64_t> offsets{};
    std::span<const std::byte> bytes{};
};

template <class Range>
inline constexpr bool is_mp_range = false;
template <class T>
inline constexpr bool is_mp_range<Range<T>> = true;

template <class Given>
using map_element = std::ranges::range_value_t<Given>;

template <class Given>
using map_input = std::conditional_t<is_mp_range<std::remove_cvref_t<Given>>, RangeInput<map_element<Given>>,
                                     std::conditional_t<serial::bytewise<map_element<Given>>, ArrayInput<map_element<Given>>,
                                                        EncodedInput<map_element<Given>>>>;

/// How many bytes such a sequence takes when it is encoded.
template <class T>
std::uint64_t run_size(const T& run) {
    return sizeof(std::uint64_t) + std::ranges::size(run) * sizeof(std::ranges::range_value_t<T>);
}

/// How many bytes the elements of a range take when they are encoded; 0 when that is not to be known beforehand.
template <class Given>
std::uint64_t encoded_size(Given& range) {
    using T = map_element<Given>;
    std::uint64_t size = 0;
    if constexpr (std::ranges::forward_range<Given> && std::ranges::sized_range<T> && std::ranges::contiguous_range<T>) {
        using Part = std::ranges::range_value_t<T>;
        using Reference = std::ranges::range_reference_t<Given>;
        if constexpr (serial::bytewise<Part> && std::is_lvalue_reference_v<Reference> &&
                      std::is_same_v<std::remove_cvref_t<Reference>, T>)
            for (const T& element : range) size += run_size(element);
    }
    return size;
}

/// The elements of a range can be read by several threads at once without running any of the program's code.
template <class Given>
inline constexpr bool packs_in_parallel =
    serial::detail::plain_run<map_element<Given>> && std::ranges::contiguous_range<Given> &&
    std::ranges::sized_range<Given>;

/// Where each element is to lie is known before the first is copied.
template <class T>
void pack_in_parallel(MapInput<T>& input, std::span<const T> elements, int threads) {
    input.count = elements.size();
    input.offsets.reserve(elements.size() + 1);
    std::uint64_t end = 0;
    input.offsets.push_back(end);
    for (const T& element : elements) input.offsets.push_back(end += run_size(element));
    std::byte* const to = input.encoded->writer.extend(end);
    in_parallel(input.count, threads, [&](std::uint64_t index, std::uint64_t last) {
        for (; index != last; ++index) {
            serial::Writer writer({to + input.offsets[index], input.offsets[index + 1] - input.offsets[index]});
            serial::encode(writer, elements[index]);
        }
    });
    input.bytes = input.encoded->writer.bytes();
}

template <class Given>
void pack_input(Engine& engine, MapInput<map_element<Given>>& input, Given& range) {
    using T = map_element<Given>;
    if constexpr (is_mp_range<std::remove_cvref_t<Given>>) {
        input.count = range.size();
        if (input.count) input.copies.push_back(*range.begin());
        input.bytes = std::as_bytes(std::span(input.copies));
    } else if constexpr (serial::bytewise<T>) {
        if constexpr (std::ranges::contiguous_range<Given> && std::ranges::sized_range<Given>) {
            input.count = std::ranges::size(range);
            input.bytes = std::as_bytes(std::span(std::ranges::data(range), std::ranges::size(range)));
        } else {
            for (auto&& element : range) input.copies.push_back(static_cast<T>(std::forward<decltype(element)>(element)));
            input.count = input.copies.size();
            input.bytes = std::as_bytes(std::span(input.copies));
        }
    } else {
        const std::uint64_t size = encoded_size(range);
        input.encoded = engine.input_memory(size);
        if constexpr (packs_in_parallel<Given>) {
            if (const int threads = engine.copying_threads(size); threads > 1)
                return pack_in_parallel<T>(input, {std::ranges::data(range), std::ranges::size(range)}, threads);
        }
        serial::Writer& writer = input.encoded->writer;
        input.offsets.push_back(0);
        for (auto&& element : range) {
            serial::encode(writer, static_cast<const T&>(element));
            input.offsets.push_back(writer.bytes().size());
            ++input.count;
        }
        if (!writer.handles().empty())
            throw SerializationError("an element of map's input holds a handle (a Queue, a Pipe end, …): bind it with "
                                     "mp::bind, or use submit");
        input.bytes = writer.bytes();
    }
}

template <class R>
R read_value(const std::byte* place) {
    std::array<std::byte, sizeof(R)> bytes;
    std::memcpy(bytes.data(), place, sizeof(R));
    return std::bit_cast<R>(bytes);
}

template <class R>
R map_value(const PendingMap& results, std::uint64_t index) {
    if constexpr (result_is_array<R>) {
        return read_value<R>(results.array() + index * sizeof(R));
    } else {
        serial::Reader reader(results.encoded(index));
        R value = serial::decode<R>(reader);
        reader.finish();
        return value;
    }
}

/// `decode(i)` of each element. Where that runs none of the program's code, and it is worth it, on several threads.
template <class R, class Value, class Decode>
std::vector<Value> decode_all(const PendingMap& results, Decode decode) {
    std::vector<Value> list;
    if constexpr (serial::detail::plain_run<R>) {
        if (const int threads = results.decoding_threads(); threads > 1) {
            list.resize(results.size());
            in_parallel(results.size(), threads, [&](std::uint64_t index, std::uint64_t end) {
                for (; index != end; ++index) list[index] = decode(index);
            });
            return list;
        }
    }
    list.reserve(results.size());
    for (std::uint64_t i = 0; i < results.size(); ++i) list.push_back(decode(i));
    return list;
}

/// What map returns for results of type R.
template <class R>
using map_result = std::conditional_t<std::is_void_v<R>, void, std::vector<std::conditional_t<std::is_void_v<R>, char, R>>>;

/// The values of a map that is over and in which nothing failed.
template <class R>
map_result<R> map_values(const PendingMap& results) {
    if constexpr (std::is_void_v<R>) {
        return;
    } else if constexpr (result_is_array<R> && !std::is_same_v<R, bool>) {
        // The results are live objects of a type that is nothing but its bytes.
        const R* const first = reinterpret_cast<const R*>(results.array());
        return std::vector<R>(first, first + results.size());
    } else {
        return decode_all<R, R>(results, [&](std::uint64_t index) { return map_value<R>(results, index); });
    }
}
/// The same, as a Future calls it.
template <class R>
map_result<R> map_values_of(Pending& pending) {
    return map_values<R>(static_cast<PendingMap&>(pending));
}

/// What became of an element of a map that is over.
template <class R>
Outcome<R> map_outcome(const PendingMap& results, std::uint64_t index) {
    if (!results.has_value(index)) return Outcome<R>(results.error(index));
    if constexpr (std::is_void_v<R>) {
        return std::monostate();
    } else {
        try {
            return map_value<R>(results, index);
        } catch (...) {
            return Outcome<R>(std::current_exception());
        }
    }
}

/// What became of each element of a map that is over and has not failed as a whole.
template <class R>
std::vector<Outcome<R>> map_outcomes(const PendingMap& results) {
    return decode_all<R, Outcome<R>>(results, [&](std::uint64_t index) { return map_outcome<R>(results, index); });
}

}  // namespace mp::detail
