/// \file
/// Pool::reduce: what its workers call, and how their partial results become one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/pool_call.hpp>
#include <multiprocessing/detail/pool_entry.hpp>

namespace mp::detail {

/// What each worker is sent once.
template <class F, class Op>
struct Fold {
    F function;
    Op op;
    std::uint64_t group = 1;  ///< elements folded into one partial result
    std::uint64_t total = 0;
};

template <class F, class Op>
void encode_fold(serial::Writer& writer, const void* object) {
    const auto& fold = *static_cast<const Fold<F, Op>*>(object);
    encode_callable(writer, fold.function);
    encode_callable(writer, fold.op);
    serial::encode(writer, fold.group);
    serial::encode(writer, fold.total);
}

/// Each position of the map is a group of elements, folded from left to right beginning with its first.
template <class F, class Op, class Input, class T, class A>
void run_fold(PoolCall& pool_call) {
    using Held = Fold<F, Op>;
    if (pool_call.step == PoolCall::Step::make) {
        serial::Reader& reader = *pool_call.reader;
        // Braces: in order.
        auto fold = std::unique_ptr<Held>(new Held{decode_callable<F>(reader), decode_callable<Op>(reader),
                                                   serial::decode<std::uint64_t>(reader),
                                                   serial::decode<std::uint64_t>(reader)});
        reader.finish();
        pool_call.object = fold.release();
        return;
    }
    if (pool_call.step == PoolCall::Step::drop) {
        std::unique_ptr<Held>(static_cast<Held*>(pool_call.object)).reset();
        return;
    }
    auto& fold = *static_cast<Held*>(pool_call.object);
    MapCall& call = *pool_call.map;
    for (std::uint64_t at = call.begin; at != call.end; ++at) {
        const std::uint64_t position = call.indices ? call.indices[at] : at;
        const std::uint64_t first = position * fold.group;
        const std::uint64_t last = first + std::min(fold.group, fold.total - first);
        std::uint64_t element = first;
        if (!element_begins(call, first)) {
            call.end = at;
            break;
        }
        const auto next_value = [&]() -> decltype(auto) {
            // A group that has begun is not left half folded: it ends, or is stopped.
            if (element != first && !element_begins(call, element)) call.current->store(element, std::memory_order_relaxed);
            return Plain::call(fold.function, Input::get(call, element));
        };
        try {
            A partial = static_cast<A>(next_value());
            for (++element; element != last; ++element) partial = fold.op(std::move(partial), next_value());
            if constexpr (result_is_array<A>) {
                std::memcpy(call.results + position * sizeof(A), &partial, sizeof(A));
            } else {
                serial::Writer writer(map_result_room(call));
                serial::encode(writer, static_cast<const A&>(partial));
                map_element_encoded(call, position, writer);
            }
        } catch (...) {
            map_element_failed(call, element);
            continue;
        }
        call.states[position].store(static_cast<std::uint8_t>(ElementState::value), std::memory_order_release);
    }
}

template <class F, class Op, class T, class A>
consteval bool check_fold() {
    check_callable<F>();
    check_callable<Op>();
    serial::check_serializable<T>();
    serial::check_serializable<A>();
    static_assert(callable_with<F, Plain, T>, "reduce: the function cannot be called with an element of the range");
    if constexpr (callable_with<F, Plain, T>) {
        using R = element_result<Plain, F, T>;
        constexpr bool begins = std::is_constructible_v<A, R>;
        constexpr bool folds = std::is_invocable_r_v<A, Op&, A, R> && std::is_invocable_r_v<A, Op&, A, A>;
        static_assert(begins, "reduce: the function's result does not convert to the type of the initial value");
        static_assert(
            folds || !begins,
            "reduce: the operation cannot be called with two values of the initial value's type, and with one "
            "of the function's results, giving such a value");
        return begins && folds;
    } else {
        return false;
    }
}

/// So many groups at most, whatever the number of workers: which elements are folded together depends on their number
/// alone, so that sums of floating-point numbers are the same everywhere.
inline constexpr std::uint64_t most_groups = 1024;

template <class A, class F, class Op, class Range>
A fold_range(Engine& engine, const F& function, const Op& op, A result, Range& range, const CallOptions& options) {
    using T = map_element<Range>;
    MapInput<T> input;
    pack_input(engine, input, range);
    if (input.count == 0) return result;
    if (options.chunk_size && *options.chunk_size < 1)
        throw std::invalid_argument("chunk_size must be at least 1, not " + std::to_string(*options.chunk_size));
    Fold<F, Op> fold{function, op, 1, input.count};
    fold.group = options.chunk_size ? static_cast<std::uint64_t>(*options.chunk_size)
                                    : (input.count + most_groups - 1) / most_groups;
    constexpr auto* entry =
        &entry_record<PoolEntry, &run_fold<F, Op, map_input<Range>, T, A>, F, Op, map_input<Range>, T, A>;
    CallOptions call = options;
    call.chunk_size.reset();  // how many groups a worker takes at once is measured
    MapSpec spec;
    spec.callable = {.entry = entry, .function = &fold, .encode = &encode_fold<F, Op>, .type = &typeid(F)};
    if constexpr (std::is_pointer_v<F>) spec.callable.code = reinterpret_cast<const void*>(function);
    spec.count = (input.count + fold.group - 1) / fold.group;
    spec.inputs = input.bytes;
    spec.input_offsets = input.offsets;
    spec.memory = input.encoded.get();
    if constexpr (result_is_array<A>)
        spec.result_size = sizeof(A);
    else
        spec.encoded_results = true;
    spec.group = fold.group;
    spec.elements = input.count;
    spec.call = engine.number_call();
    spec.options = &call;
    const auto map = engine.map(spec);
    wait_for(*map, options);
    if (auto error = map->first_error()) std::rethrow_exception(std::move(error));
    Op combine(op);
    for (std::uint64_t i = 0; i < map->size(); ++i) result = combine(std::move(result), map_value<A>(*map, i));
    return result;
}

}  // namespace mp::detail
