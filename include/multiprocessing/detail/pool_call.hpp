/// \file
/// Between the pool's typed face and its compiled core: calls described as bytes and entries.
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

#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/function.hpp>
#include <multiprocessing/pool_options.hpp>
#include <multiprocessing/range.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp::detail {

class PoolCore;
struct PoolTask;
struct PoolJob;

/// A callable before its type is forgotten.
struct CallableSpec {
    const EntryRecord* entry = nullptr;
    const void* function = nullptr;
    void (*encode)(serial::Writer& writer, const void* function) = nullptr;
    std::span<const std::byte> key{};  ///< its state as bytes, when these say all about it
    bool keyed = false;
    const void* code = nullptr;        ///< of a plain function, for its name
    const std::type_info* type = nullptr;
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

/// What a task is called with: values, text literals as strings.
template <class T>
using task_argument = std::conditional_t<std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*>,
                                         std::string, std::decay_t<T>>;

MP_EXPORT std::shared_ptr<PoolTask> pool_submit(PoolCore& core, const CallableSpec& callable,
                                                const serial::Writer& arguments, const CallOptions& options);
MP_EXPORT bool task_done(PoolTask& task);
/// Waits; `seconds` below zero is for ever. True when it is done.
MP_EXPORT bool task_wait(PoolTask& task, double seconds);
MP_EXPORT bool task_cancel(PoolTask& task);
/// Of a task that is done: its error, or null; its result.
MP_EXPORT std::exception_ptr task_error(const PoolTask& task);
MP_EXPORT std::span<const std::byte> task_result(const PoolTask& task);
MP_EXPORT std::span<const serial::Handle> task_handles(const PoolTask& task);

struct MapSpec {
    CallableSpec callable{};
    std::uint64_t count = 0;
    std::span<const std::byte> inputs{};
    std::span<const std::uint64_t> input_offsets{};  ///< count + 1 of them when inputs are encoded
    std::uint64_t result_size = 0;                   ///< of each, in an array; 0: encoded, or none
    bool encoded_results = false;
    const CallOptions* options = nullptr;
};

/// The results of a map that is over, in shared memory. Freed with this object.
class MP_EXPORT MapResults {
  public:
    MapResults(std::shared_ptr<PoolCore> core, std::shared_ptr<PoolJob> job);
    MapResults(MapResults&&) noexcept;
    MapResults& operator=(MapResults&&) = delete;
    ~MapResults();

    std::uint64_t size() const;
    bool has_value(std::uint64_t index) const;
    std::exception_ptr error(std::uint64_t index) const;
    /// The error of the first element that has one; null when all have values.
    std::exception_ptr first_error() const;
    /// The array of results.
    const std::byte* array() const;
    std::span<const std::byte> encoded(std::uint64_t index) const;

  private:
    std::shared_ptr<PoolCore> core_;
    std::shared_ptr<PoolJob> job_;
};

/// Runs it and waits for its end.
MP_EXPORT MapResults pool_map(PoolCore& core, const MapSpec& spec);

/// The input of a map as bytes that the workers can read.
template <class T>
struct MapInput {
    std::uint64_t count = 0;
    std::vector<T> copies{};                  // when the range is not an array itself
    serial::Writer encoded{};
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

template <class Given>
void pack_input(MapInput<map_element<Given>>& input, Given& range) {
    using T = map_element<Given>;
    if constexpr (is_mp_range<std::remove_cvref_t<Given>>) {
        input.count = range.size();
        if (input.count) input.copies.push_back(*range.begin());
        input.bytes = std::as_bytes(std::span(input.copies));
    } else if constexpr (serial::bytewise<T>) {
        if constexpr (std::ranges::contiguous_range<Given> && std::ranges::sized_range<Given>) {
            input.count = std::ranges::size(range);
            input.bytes = std::as_bytes(std::span(std::ranges::data(range), std::ranges::size(range)));
        } else if constexpr (std::is_same_v<T, bool>) {
            // std::vector<bool> is no array of bool.
            for (const bool element : range) {
                serial::encode(input.encoded, element);
                ++input.count;
            }
            input.bytes = input.encoded.bytes();
        } else {
            for (auto&& element : range) input.copies.push_back(std::forward<decltype(element)>(element));
            input.count = input.copies.size();
            input.bytes = std::as_bytes(std::span(input.copies));
        }
    } else {
        input.offsets.push_back(0);
        for (auto&& element : range) {
            serial::encode(input.encoded, static_cast<const T&>(element));
            input.offsets.push_back(input.encoded.bytes().size());
            ++input.count;
        }
        if (!input.encoded.handles().empty())
            throw SerializationError("an element of map's input holds a handle (a Queue, a Pipe end, …): bind it with "
                                     "mp::bind, or use submit");
        input.bytes = input.encoded.bytes();
    }
}

template <class R>
R read_value(const std::byte* place) {
    std::array<std::byte, sizeof(R)> bytes;
    std::memcpy(bytes.data(), place, sizeof(R));
    return std::bit_cast<R>(bytes);
}

template <class R>
R map_value(const MapResults& results, std::uint64_t index) {
    if constexpr (result_is_array<R>) {
        return read_value<R>(results.array() + index * sizeof(R));
    } else {
        serial::Reader reader(results.encoded(index));
        R value = serial::decode<R>(reader);
        reader.finish();
        return value;
    }
}

}  // namespace mp::detail
