// What the code of a map's types calls, in the process or thread that runs it.
#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/errors.hpp>

namespace mp::detail {

bool map_element_begins(MapCall& call, std::uint64_t index) noexcept { return call.sink->element_begins(call, index); }

void map_element_failed(MapCall& call, std::uint64_t index) noexcept { call.sink->element_failed(index); }

std::span<std::byte> map_result_room(MapCall& call) { return call.sink->room(); }

void map_element_encoded(MapCall& call, std::uint64_t index, const serial::Writer& result) {
    if (!result.handles().empty())
        throw SerializationError(
            "a result of map holds a handle (a Queue, a Pipe end, …): return it from submit instead");
    call.sink->element_encoded(index, result.bytes());
}

}  // namespace mp::detail
