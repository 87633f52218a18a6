/// \file
/// What a pool's worker calls: the code that the caller's types instantiate, behind one signature. The worker knows only
/// bytes; these functions know the types.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/detail/spread.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/function.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp::detail {

/// How far an element of a map is; one byte for each in shared memory. Written by the worker that has claimed the
/// element (release, after the result), or by the caller when that failed or died; read by the caller (acquire).
enum class ElementState : std::uint8_t { open = 0, value = 1, failed = 2 };

struct MapCall;

/// Where the results of a map's elements go that do not lie in an array.
class MapSink {
  public:
    /// The current exception ended this element.
    virtual void element_failed(std::uint64_t element) noexcept = 0;
    /// Before an element, when there is more to see to than its number; false when it is not to be run.
    virtual bool element_begins(const MapCall&, std::uint64_t) noexcept { return true; }
    /// Where the next result is best encoded; empty: anywhere. Throws when there is no memory.
    virtual std::span<std::byte> room() { return {}; }
    /// The bytes are copied, unless they lie in room(). Throws when there is no memory for them.
    virtual void element_encoded(std::uint64_t position, std::span<const std::byte> bytes) = 0;

  protected:
    ~MapSink() = default;
};

inline const std::atomic<std::uint64_t> nobody_leaves{~std::uint64_t(0)};

/// A stretch of a map, as the worker runs it. All pointers go into shared memory.
struct MapCall {
    std::uint64_t begin = 0;                          ///< positions to run: [begin, end)
    std::uint64_t end = 0;
    const std::uint64_t* indices = nullptr;           ///< element of each position; null: the position itself
    const std::byte* inputs = nullptr;
    const std::uint64_t* input_offsets = nullptr;     ///< of encoded elements in `inputs`; null for an array of elements
    std::byte* results = nullptr;                     ///< an array of results; null when these are encoded
    std::atomic<std::uint8_t>* states = nullptr;
    std::atomic<std::uint64_t>* current = nullptr;    ///< the element being run, for blame if this process dies
    MapSink* sink = nullptr;
    const std::atomic<std::uint64_t>* leave = &nobody_leaves;  ///< holds `number` when the rest is not to be run
    std::uint64_t number = 0;
    bool timed = false;                               ///< elements have a time limit
};

/// Before an element when there is more to see to than its number: notes the time; false when it is not to be run.
MP_EXPORT bool map_element_begins(MapCall& call, std::uint64_t index) noexcept;
/// Tells the caller that the current exception ended this element.
MP_EXPORT void map_element_failed(MapCall& call, std::uint64_t index) noexcept;
/// Where the next result is best encoded.
MP_EXPORT std::span<std::byte> map_result_room(MapCall& call);
/// Hands an encoded result over; the bytes are copied, unless they lie there. Throws when there is no memory for it.
MP_EXPORT void map_element_encoded(MapCall& call, std::uint64_t index, const serial::Writer& result);

/// One call into code that knows the types.
struct PoolCall {
    enum class Step { make, drop, run };
    Step step = Step::run;
    void* object = nullptr;              ///< the callable; set by make, freed by drop
    serial::Reader* reader = nullptr;    ///< make: the callable; run of a task: its arguments
    serial::Writer* writer = nullptr;    ///< run of a task: its result
    MapCall* map = nullptr;              ///< run of a map
};

struct PoolEntry {
    using Signature = void(PoolCall& call);
    static constexpr std::string_view name = "pool";
};

template <class F>
bool make_or_drop(PoolCall& call) {
    if (call.step == PoolCall::Step::make) {
        call.object = std::make_unique<F>(decode_callable<F>(*call.reader)).release();
        call.reader->finish();
        return true;
    }
    if (call.step == PoolCall::Step::drop) {
        std::unique_ptr<F>(static_cast<F*>(call.object)).reset();
        return true;
    }
    return false;
}

/// submit(f, arguments...)
template <class F, class... Args>
void run_task(PoolCall& call) {
    if (make_or_drop<F>(call)) return;
    auto& function = *static_cast<F*>(call.object);
    auto arguments = serial::decode<std::tuple<Args...>>(*call.reader);
    call.reader->finish();
    if constexpr (std::is_void_v<std::invoke_result_t<F&, Args...>>) {
        std::apply(function, std::move(arguments));
    } else {
        const std::remove_cvref_t<std::invoke_result_t<F&, Args...>> result = std::apply(function, std::move(arguments));
        serial::encode(*call.writer, result);
    }
}

/// Where the elements of a map come from: an array of them, encoded ones, or the bounds of an mp::Range.
template <class T>
struct ArrayInput {
    static T get(const MapCall& call, std::uint64_t index) {
        std::array<std::byte, sizeof(T)> bytes;
        std::memcpy(bytes.data(), call.inputs + index * sizeof(T), sizeof(T));
        return std::bit_cast<T>(bytes);
    }
};
template <class T>
struct EncodedInput {
    static T get(const MapCall& call, std::uint64_t index) {
        const std::uint64_t begin = call.input_offsets[index];
        serial::Reader reader({call.inputs + begin, static_cast<std::size_t>(call.input_offsets[index + 1] - begin)});
        T element = serial::decode<T>(reader);
        reader.finish();
        return element;
    }
};
template <class T>
struct RangeInput {
    static T get(const MapCall& call, std::uint64_t index) {
        T first;
        std::memcpy(&first, call.inputs, sizeof first);
        // Unsigned, so that a range over the full width of a signed type does not overflow.
        using Unsigned = std::make_unsigned_t<T>;
        return static_cast<T>(static_cast<Unsigned>(first) + static_cast<Unsigned>(index));
    }
};

/// Results that lie as an array in shared memory instead of being encoded one by one.
template <class R>
inline constexpr bool result_is_array = false;
template <class R>
    requires serial::bytewise<R>
inline constexpr bool result_is_array<R> = true;

/// Says which element runs from now on; false when it is not to be run, nor those after it.
inline bool element_begins(MapCall& call, std::uint64_t index) {
    if (call.timed || call.leave->load(std::memory_order_relaxed) == call.number) [[unlikely]]
        if (!map_element_begins(call, index)) return false;
    call.current->store(index, std::memory_order_relaxed);
    // The compiler may not move what could crash before the line that says whose fault it is.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return true;
}

/// map(f, range), starmap(f, range)
template <class F, class How, class Input, class T>
void run_map(PoolCall& pool_call) {
    if (make_or_drop<F>(pool_call)) return;
    using R = std::remove_cvref_t<element_result<How, F, T>>;
    auto& function = *static_cast<F*>(pool_call.object);
    MapCall& call = *pool_call.map;
    for (std::uint64_t position = call.begin; position != call.end; ++position) {
        const std::uint64_t index = call.indices ? call.indices[position] : position;
        if (!element_begins(call, index)) {
            call.end = position;
            break;
        }
        try {
            if constexpr (std::is_void_v<R>) {
                How::call(function, Input::get(call, index));
            } else if constexpr (result_is_array<R>) {
                const R result = How::call(function, Input::get(call, index));
                std::memcpy(call.results + index * sizeof(R), &result, sizeof(R));
            } else {
                const R result = How::call(function, Input::get(call, index));
                serial::Writer writer(map_result_room(call));
                serial::encode(writer, result);
                map_element_encoded(call, index, writer);
            }
        } catch (...) {
            map_element_failed(call, index);
            continue;
        }
        call.states[index].store(static_cast<std::uint8_t>(ElementState::value), std::memory_order_release);
    }
}

}  // namespace mp::detail
