// A pipe whose memory another process has filled with anything: whatever lies there, sending and receiving end with a
// message or a typed error, and touch nothing outside the pipe.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <multiprocessing/connection.hpp>
#include <multiprocessing/errors.hpp>

#include "transport/byte_ring.hpp"

namespace {

constexpr std::size_t capacity = 64 << 10;
constexpr std::size_t heads = 128, rings = 4096;  // offsets, as in channel/pipe_end.hpp

struct Input {
    std::uint64_t head, tail;  // of both rings
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input;
    if (size < sizeof input) return 0;
    std::memcpy(&input, data, sizeof input);
    data += sizeof input;
    size = std::min(size - sizeof input, capacity);
    auto [mine, other] = mp::Pipe<std::vector<std::string>>({.capacity = capacity});
    mp::serial::Writer writer;
    mp::serial::encode(writer, mine);
    const auto& memory = writer.handles()[0];
    constexpr std::size_t whole = rings + 2 * capacity;
    void* const mapped = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd(), 0);
    if (mapped == MAP_FAILED) return 0;
    auto* const bytes = static_cast<std::byte*>(mapped);
    for (std::size_t ring = 0; ring < 2; ++ring) {
        auto& head =
            *reinterpret_cast<mp::transport::RingHead*>(bytes + heads + ring * sizeof(mp::transport::RingHead));
        head.head.store(input.head);
        head.tail.store(input.tail);
        // From where the receiver reads on, round the end.
        for (std::size_t i = 0; i < size; ++i) {
            bytes[rings + ring * capacity + ((input.head & ~std::uint64_t{7}) + i) % capacity] = std::byte(data[i]);
        }
    }
    try {
        (void)mine.try_send({"a short one"});
        (void)mine.try_send({std::string(1000, 'x'), ""});
    } catch (const mp::Error&) {
    }
    other.close();  // so that nobody waits for the rest of a message
    for (int i = 0; i < 20; ++i) {
        try {
            (void)mine.poll();
            std::byte buffer[100];
            if (i % 2 == 0)
                (void)mine.recv();
            else
                (void)mine.recv_bytes_into(buffer);
        } catch (const mp::Closed&) {
            break;
        } catch (const mp::Error&) {
        }
    }
    ::munmap(mapped, whole);
    return 0;
}
