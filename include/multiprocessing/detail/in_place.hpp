/// \file
/// Pool::for_each: elements that lie in shared memory are changed where they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/pool_call.hpp>
#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/export.hpp>

namespace mp::detail {

/// A stretch of this process's memory that other processes can map.
struct SharedPlace {
    std::shared_ptr<const shm::Segment> memory;
    serial::Handle file;
    std::uint64_t offset = 0;  ///< from the beginning of the file
};
/// Throws std::invalid_argument for memory that is not all in one Array, SharedMemory or their like.
MP_EXPORT SharedPlace find_shared(const void* address, std::uint64_t size);

/// The same stretch in another process; mapped as long as this lives.
struct SharedStretch {
    std::shared_ptr<const void> mapping;
    std::byte* data = nullptr;
};
MP_EXPORT SharedStretch attach_shared(const serial::Handle& file, std::uint64_t offset, std::uint64_t size);

template <class F>
struct InPlace {
    F function;
    const SharedPlace* place = nullptr;  ///< in the caller
    std::uint64_t size = 0;
    SharedStretch stretch{};  ///< in the worker
};

template <class F>
void encode_in_place(serial::Writer& writer, const void* object) {
    const auto& held = *static_cast<const InPlace<F>*>(object);
    encode_callable(writer, held.function);
    writer.attach(held.place->file);
    serial::encode(writer, held.place->offset);
    serial::encode(writer, held.size);
}

template <class F, class T>
void run_in_place(PoolCall& pool_call) {
    using Held = InPlace<F>;
    if (pool_call.step == PoolCall::Step::make) {
        serial::Reader& reader = *pool_call.reader;
        auto held = std::unique_ptr<Held>(new Held{.function = decode_callable<F>(reader)});
        const auto file = reader.take_handle();
        const auto offset = serial::decode<std::uint64_t>(reader);
        const auto size = serial::decode<std::uint64_t>(reader);
        reader.finish();
        held->stretch = attach_shared(file, offset, size);
        pool_call.object = held.release();
        return;
    }
    if (pool_call.step == PoolCall::Step::drop) {
        std::unique_ptr<Held>(static_cast<Held*>(pool_call.object)).reset();
        return;
    }
    auto& held = *static_cast<Held*>(pool_call.object);
    T* const elements = reinterpret_cast<T*>(held.stretch.data);
    MapCall& call = *pool_call.map;
    for (std::uint64_t at = call.begin; at != call.end; ++at) {
        const std::uint64_t index = call.indices ? call.indices[at] : at;
        if (!element_begins(call, index)) {
            call.end = at;
            break;
        }
        try {
            std::invoke(held.function, elements[index]);
        } catch (...) {
            map_element_failed(call, index);
            continue;
        }
        call.states[index].store(static_cast<std::uint8_t>(ElementState::value), std::memory_order_release);
    }
}

/// for_each over what is no shared memory: map without results.
struct Effects {
    template <class F, class T>
    static void call(F& function, T&& element) {
        static_cast<void>(std::invoke(function, std::forward<T>(element)));
    }
};

template <class Range>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

template <class F, class T>
void for_each_in_place(Engine& engine, const F& function, std::span<T> span, const CallOptions& options) {
    if (span.empty()) return;
    const SharedPlace place = find_shared(span.data(), span.size_bytes());
    const InPlace<F> held{.function = function, .place = &place, .size = span.size_bytes()};
    constexpr auto* entry = &entry_record<PoolEntry, &run_in_place<F, T>, F, T>;
    MapSpec spec;
    spec.callable = {.entry = entry, .function = &held, .encode = &encode_in_place<F>, .type = &typeid(F)};
    if constexpr (std::is_pointer_v<F>) spec.callable.code = reinterpret_cast<const void*>(function);
    spec.count = span.size();
    spec.call = engine.number_call();
    spec.options = &options;
    spec.place = place.memory;
    const auto map = engine.map(spec);
    wait_for(*map, options);
    if (auto error = map->first_error()) std::rethrow_exception(std::move(error));
}

}  // namespace mp::detail
