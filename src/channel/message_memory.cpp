#include "channel/message_memory.hpp"

#include <cstring>

#include "channel/raise.hpp"
#include "shm/segment.hpp"

namespace mp::channel {

namespace {

void check_memory(std::size_t size) {
    constexpr std::size_t harmless = 64 << 20;  // asking the system what is left takes longer than copying less
    if (size > harmless) {
        if (const auto room = shm::check_room(size); !room) {
            channel::raise(room.error(), "cannot receive a message of " + human_size(size));
        }
    }
}

}  // namespace

std::unique_ptr<std::byte[]> message_memory(std::size_t size) {
    check_memory(size);
    return std::unique_ptr<std::byte[]>(new std::byte[size]);
}

std::byte* place_run(serial::detail::RunPlace* place, std::span<const std::byte> beginning, std::size_t size) {
    if (!place || beginning.size() < run_count) return nullptr;
    std::uint64_t count;
    std::memcpy(&count, beginning.data(), run_count);
    check_memory(size);
    return place->make(count, size - run_count);
}

}  // namespace mp::channel
