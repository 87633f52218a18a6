// Objects made from a memory file that says it is one of theirs and holds anything else: a typed error, or an object
// that touches nothing outside that memory.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <multiprocessing/connection.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/shareable_list.hpp>
#include <multiprocessing/shared_memory.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

namespace {

struct Large {
    char bytes[100];
};

volatile unsigned sink;

template <class T, class Use>
void attach(const std::vector<mp::serial::Handle>& handles, Use use) {
    const std::byte bytes[64] = {};
    try {
        mp::serial::Reader reader(bytes, handles);
        T object = mp::serial::decode<T>(reader);
        use(object);
    } catch (const mp::Error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const int file = ::memfd_create("fuzz", MFD_CLOEXEC);
    if (file < 0) return 0;
    const std::size_t length = (std::size_t(512) << data[0] % 10) + data[1] % 8;
    std::vector<std::uint8_t> bytes(data + 2, data + size);
    bytes.resize(std::min(bytes.size(), length));
    // The lock itself cannot be checked: who breaks it breaks it for all.
    if (bytes.size() > 64)
        std::fill(bytes.begin() + 64, bytes.begin() + std::min<std::ptrdiff_t>(128, std::ssize(bytes)), 0);
    if (::ftruncate(file, static_cast<off_t>(length)) == 0 &&
        ::pwrite(file, bytes.data(), bytes.size(), 0) == std::ssize(bytes)) {
        std::vector<mp::serial::Handle> handles;
        for (int i = 0; i < 4; ++i) handles.push_back(mp::serial::Handle::duplicate(file));
        attach<mp::Value<int>>(handles, [](auto& value) { sink = static_cast<unsigned>(value.load()); });
        attach<mp::Value<Large>>(handles, [](auto& value) { sink = static_cast<unsigned>(value.load().bytes[99]); });
        attach<mp::Array<int>>(handles, [](auto& array) {
            if (!array.empty()) sink = static_cast<unsigned>(array[0] + array[array.size() - 1]);
        });
        attach<mp::Lock>(handles, [](auto& lock) { sink = lock.locked(); });
        attach<mp::RLock>(handles, [](auto& lock) { sink = lock.locked(); });
        attach<mp::Semaphore>(handles, [](auto& semaphore) { sink = static_cast<unsigned>(semaphore.value()); });
        attach<mp::BoundedSemaphore>(handles, [](auto& semaphore) { sink = static_cast<unsigned>(semaphore.value()); });
        attach<mp::Event>(handles, [](auto& event) { sink = event.is_set(); });
        attach<mp::Barrier>(handles, [](auto& barrier) { sink = barrier.broken(); });
        attach<mp::Condition>(handles, [](auto&) {});
        attach<mp::ShareableList>(handles, [](auto& list) { sink = static_cast<unsigned>(list.items().size()); });
        attach<mp::Queue<int>>(handles, [](auto& queue) { sink = static_cast<unsigned>(queue.qsize()); });
        attach<mp::Connection<int>>(handles, [](auto& end) { sink = end.closed(); });
        attach<mp::SharedMemory>(handles, [](auto& memory) { sink = static_cast<unsigned>(memory.bytes().back()); });
    }
    ::close(file);
    return 0;
}
