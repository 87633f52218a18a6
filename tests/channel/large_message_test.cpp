// Messages larger than what a process may allocate: none is copied a second time.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/queues.hpp>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstddef>
#include <span>
#include <vector>

#include "os/mapping.hpp"
#include "shm/segment.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

namespace mp {
namespace {

/// Many bytes of address space over few of memory: the same piece again and again.
class Repeated {
  public:
    static constexpr std::size_t piece = 4 << 20;

    explicit Repeated(std::size_t size)
        : size_(size), start_(::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
        const auto file = os::memory_file("repeated", piece);
        EXPECT_TRUE(file);
        for (std::size_t at = 0; at < size; at += piece) {
            EXPECT_NE(::mmap(data() + at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file->get(), 0),
                      MAP_FAILED);
        }
    }
    Repeated(const Repeated&) = delete;
    Repeated& operator=(const Repeated&) = delete;
    ~Repeated() { ::munmap(start_, size_); }

    std::byte* data() const { return static_cast<std::byte*>(start_); }
    std::span<std::byte> bytes() const { return {data(), size_}; }

  private:
    std::size_t size_;
    void* start_;
};

constexpr bool limits_work = !MP_UNDER_SANITIZER;  // a sanitizer takes memory of its own

/// From here on this process may not have more than some private memory.
void limit_own_memory(rlim_t bytes = 32 << 20) {
    const rlimit limit{bytes, bytes};
    if (limits_work) ::setrlimit(RLIMIT_DATA, &limit);
}

TEST(Connection, ThreeGibibytesPassBetweenProcessesThatMayAllocateAHundredthOfThem) {
    constexpr std::size_t size = 3UL << 30;
    const auto expected = [](std::size_t i) { return std::byte(i * 7 % 251); };
    auto [in, out] = Pipe<int>();
    test::Child sender([&, &out = out, &in = in] {
        in.close();
        const Repeated message(size);
        for (std::size_t i = 0; i < Repeated::piece; ++i) message.data()[i] = expected(i);
        limit_own_memory();
        out.send_bytes(message.bytes());
        out.send(42);
        return 0;
    });
    test::Child receiver([&, &out = out, &in = in] {
        out.close();
        const Repeated buffer(size);
        limit_own_memory();
        if (in.recv_bytes_into(buffer.bytes()) != size) return 1;
        for (std::size_t i = 0; i < Repeated::piece; ++i) {
            if (buffer.data()[i] != expected(i)) return 2;
        }
        return in.recv() == 42 ? 0 : 3;
    });
    in.close();
    out.close();
    EXPECT_EQ(sender.wait(), 0);
    EXPECT_EQ(receiver.wait(), 0);
}

// An item is an object: its owner has it, put packs it once more, and the queue holds a copy.
TEST(Queue, ThreeGibibytesPassWithOneFurtherCopyOnEachSide) {
    constexpr std::size_t size = 3UL << 30, step = 4099;
    MP_SKIP_UNDER_SANITIZERS("a sanitizer makes each byte of them dear");
    if (!shm::check_room(4 * size)) GTEST_SKIP() << "12 GiB of memory are not to be had here";
    const auto expected = [](std::size_t i) { return std::byte(i * 7 % 251); };
    Queue<std::vector<std::byte>> queue;
    // One after the other, so that their memory is not needed at once.
    test::Child producer([&] {
        limit_own_memory(2 * size + (256 << 20));
        std::vector<std::byte> item(size);
        for (std::size_t i = 0; i < size; i += step) item[i] = expected(i);
        queue.put(item);
        queue.put({std::byte(42)});
        return 0;
    });
    ASSERT_EQ(producer.wait(), 0);
    EXPECT_EQ(queue.qsize(), 2U);
    test::Child consumer([&] {
        limit_own_memory(2 * size + (256 << 20));
        const auto item = queue.get();
        if (item.size() != size) return 1;
        for (std::size_t i = 0; i < size; i += step) {
            if (item[i] != expected(i)) return 2;
        }
        return queue.get() == std::vector{std::byte(42)} ? 0 : 3;
    });
    EXPECT_EQ(consumer.wait(), 0);
    EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace mp
