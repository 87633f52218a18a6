// A queue whose memory another process has filled with anything but broken locks: putting and taking end with an item
// or a typed error, and touch nothing outside the queue.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include <multiprocessing/errors.hpp>
#include <multiprocessing/queues.hpp>

#include "transport/block_queue.hpp"

namespace {

constexpr std::size_t offset = 128;  // of the state, as in channel/queue.cpp
constexpr std::size_t table = 4096;  // behind it

struct Input {
    std::uint64_t head, tail, head_copy, tail_copy, intent, books, fresh, idle, max_items;
    std::uint32_t blocks[8];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mp::transport;
    Input input;
    if (size < sizeof input) return 0;
    std::memcpy(&input, data, sizeof input);
    data += sizeof input;
    size -= sizeof input;
    mp::Queue<std::string> queue;
    mp::serial::Writer writer;
    mp::serial::encode(writer, queue);
    constexpr std::size_t mapped_size = 4 << 20;
    void* const mapped = ::mmap(nullptr, mapped_size, PROT_READ | PROT_WRITE, MAP_SHARED, writer.handles()[0].fd(), 0);
    if (mapped == MAP_FAILED) return 0;
    auto* const bytes = static_cast<std::byte*>(mapped);
    auto& state = *reinterpret_cast<QueueState*>(bytes + offset);
    // No more than a mebibyte from head to tail: items as large as they claim are what a queue may hold.
    const QueueMark head{input.head};
    const QueueMark tail = QueueMark{input.head}.advanced(input.tail >> 47, input.tail & 0xffff);
    state.head.store(head.word);
    state.tail.store(tail.word);
    state.head_copy = input.head_copy;
    state.tail_copy = input.tail_copy % 2 ? tail.word : input.tail_copy;
    state.intent = input.intent;
    state.books = input.books;
    state.fresh = input.fresh % 64;  // more only takes longer
    state.idle = input.idle;
    state.max_items = input.max_items;
    auto* const blocks = reinterpret_cast<std::uint32_t*>(bytes + table);
    const std::uint64_t first = head.position() / (queue_block / 8);
    for (std::uint64_t i = 0; i < 8; ++i) {
        if (first + i < mapped_size / 4 - table) blocks[first + i] = input.blocks[i] % 4;
    }
    const std::size_t data_start = BlockQueue::memory_for(offset, 0);
    const std::size_t start =
        data_start + std::size_t{input.blocks[0] % 4} * queue_block + head.position() % (queue_block / 8) * 8;
    for (std::size_t i = 0; i < size && start + i < mapped_size; ++i) bytes[start + i] = std::byte(data[i]);
    for (int i = 0; i < 8; ++i) {
        try {
            (void)queue.qsize();
            if (i % 3 == 2)
                (void)queue.try_put("an item");
            else
                (void)queue.try_get();
        } catch (const mp::Error&) {
        }
    }
    ::munmap(mapped, mapped_size);
    return 0;
}
