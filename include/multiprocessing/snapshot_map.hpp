/// \file
/// One map whose workers see the caller's memory as it is now.
#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/pool.hpp>

namespace mp {

/// f(element) for each element of a range, in input order, as Pool::map - but by workers that are forked for this call
/// alone, so that `f` may be any closure: what it captures by reference, by pointer or by `this`, and the elements
/// themselves, are a copy-on-write snapshot of the caller's memory. What a worker changes there, nobody else sees.
/// Results travel as they do from a pool; the function and the elements need not be serialisable.
///
/// Forks the caller, so that it takes longer the more memory that has; throws UnsafeFork, naming them, when the caller
/// has threads besides the library's own. Deaths, errors and options are those of Pool::map.
template <class F, std::ranges::input_range Range>
auto snapshot_map(F&& function, Range&& range, const CallOptions& options = {}) {
    if constexpr (!std::ranges::random_access_range<Range> || !std::ranges::sized_range<Range>) {
        std::vector<std::ranges::range_value_t<Range>> list;
        for (auto&& element : range) list.push_back(std::forward<decltype(element)>(element));
        return snapshot_map(function, list, options);
    } else {
        constexpr bool callable = std::is_invocable_v<F&, std::ranges::range_reference_t<Range>>;
        static_assert(callable, "snapshot_map: the function cannot be called with an element of the range");
        if constexpr (callable) {
            const auto first = std::ranges::begin(range);
            const auto size = static_cast<std::uint64_t>(std::ranges::size(range));
            const auto call = [&](std::uint64_t index) -> decltype(auto) {
                return std::invoke(function, first[static_cast<std::ranges::range_difference_t<Range>>(index)]);
            };
            // The pointer means the same in the workers, which are copies of this process.
            const auto body = trust([at = &call](std::uint64_t index) -> decltype(auto) { return (*at)(index); });
            const int workers =
                static_cast<int>(std::min<std::uint64_t>(cpu_count(), std::max<std::uint64_t>(1, size)));
            Pool pool(PoolOptions{.workers = workers, .name = "snapshot", .start_method = StartMethod::fork});
            return pool.map(body, mp::range(size), options);
        }
    }
}

}  // namespace mp
