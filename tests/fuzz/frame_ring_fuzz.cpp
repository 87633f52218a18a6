// A ring of frames into which another process writes anything, its indices included, while this one reads and writes: what
// peek() shows lies inside the ring, what reserve() gives too, and neither goes on for ever.
#include "transport/frame_ring.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

constexpr std::size_t capacity = 1024;

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

// The input is a list of steps: a byte that says what happens, then what that needs.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mp::transport;
    RingIndices indices{};
    const auto memory = std::make_unique<std::byte[]>(capacity);
    const std::span<std::byte> ring(memory.get(), capacity);
    FrameWriter writer(indices, ring);
    FrameReader reader(indices, ring);
    const auto take = [&](void* to, std::size_t wanted) {
        const std::size_t count = std::min(size, wanted);
        std::memcpy(to, data, count);
        data += count;
        size -= count;
        return count;
    };
    const auto inside = [&](const std::byte* place, std::size_t count) {
        return place >= memory.get() && count <= capacity &&
               static_cast<std::size_t>(place - memory.get()) <= capacity - count;
    };
    while (size != 0) {
        std::uint8_t what = 0;
        take(&what, 1);
        std::uint64_t number = 0;
        switch (what % 6) {
            case 0: {
                const std::size_t wanted = std::size_t{what} * 2 % (writer.max_frame() + 1);
                std::byte* const place = writer.reserve(wanted);
                if (!place) break;
                require(inside(place, wanted));
                std::memset(place, what, wanted);
                writer.commit();
                break;
            }
            case 1: {
                const auto frame = reader.peek();
                if (!frame.data()) break;
                require(inside(frame.data(), frame.size()));
                for (const std::byte byte : frame) number += static_cast<std::uint64_t>(byte);
                reader.release();
                break;
            }
            case 2:
                take(&number, what % 16 < 8 ? 2 : 8);
                indices.head.store(number);
                break;
            case 3:
                take(&number, what % 16 < 8 ? 2 : 8);
                indices.tail.store(number);
                break;
            case 4: {
                std::uint16_t place = 0;
                take(&place, sizeof place);
                place %= capacity;
                take(memory.get() + place, std::min<std::size_t>(what / 6, capacity - place));
                break;
            }
            default:
                // Another process takes an end over.
                if (what & 64) reader = FrameReader(indices, ring);
                else writer = FrameWriter(indices, ring);
                break;
        }
        (void)reader.ready();
        (void)reader.damaged();
        (void)writer.drained();
    }
    return 0;
}
