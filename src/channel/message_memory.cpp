#include "channel/message_memory.hpp"

#include "channel/raise.hpp"
#include "shm/segment.hpp"

namespace mp::channel {

void check_message_memory(std::size_t size) {
    constexpr std::size_t harmless = 64 << 20;  // asking the system what is left takes longer than copying less
    if (size > harmless) {
        if (const auto room = shm::check_room(size); !room) {
            channel::raise(room.error(), "cannot receive a message of " + human_size(size));
        }
    }
}

std::unique_ptr<std::byte[]> message_memory(std::size_t size) {
    check_message_memory(size);
    return std::unique_ptr<std::byte[]>(new std::byte[size]);
}

}  // namespace mp::channel
