#include "shm/segment.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "os/memory.hpp"

namespace mp::shm {

namespace {

/// Reading the limits costs some system calls; what is smaller than this cannot do harm.
constexpr std::uint64_t unchecked_size = 1 << 20;

}  // namespace

/// Every segment that this process has mapped. The only process-wide state here: an object that arrives a second time
/// must be the same object, whichever way it came.
struct Segment::Registry {
    std::mutex mutex;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::weak_ptr<const Segment>> segments;

    static Registry& get() {
        // Never destroyed: objects in static storage may outlive any order of destruction.
        static Registry* const registry = [] {
            auto* created = new Registry;
            ::pthread_atfork([] { get().mutex.lock(); }, [] { get().mutex.unlock(); }, [] { get().mutex.unlock(); });
            return created;
        }();
        return *registry;
    }
};

base::Expected<void> check_room(std::uint64_t bytes) {
    if (bytes < unchecked_size) return {};
    const std::uint64_t room = os::available_memory();
    const std::uint64_t reserve = std::min<std::uint64_t>(room / 16, 256U << 20);
    if (bytes > room - reserve) return base::error_of(ENOMEM);
    return {};
}

base::Expected<Segment::Pointer> Segment::create(const char* name, std::uint64_t size) {
    auto file = os::memory_file(name, size);
    if (!file) return file.error();
    // Nobody may shrink it under a mapping: reading past the end is a SIGBUS.
    ::fcntl(file->get(), F_ADD_SEALS, F_SEAL_SHRINK);
    return adopt(std::move(*file), size);
}

base::Expected<Segment::Pointer> Segment::attach(os::UniqueFd file, std::uint64_t least_size) {
    return adopt(std::move(file), least_size);
}

base::Expected<Segment::Pointer> Segment::adopt(os::UniqueFd file, std::uint64_t least_size) {
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return base::last_error();
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (!S_ISREG(status.st_mode) || size == 0 || size < least_size) return base::error_of(EBADMSG);
    const auto key = std::pair<std::uint64_t, std::uint64_t>(status.st_dev, status.st_ino);
    auto& registry = Registry::get();
    const std::scoped_lock hold(registry.mutex);
    auto& known = registry.segments[key];
    if (auto segment = known.lock()) return segment;
    auto mapping = os::Mapping::shared(file.get(), size);
    if (!mapping) {
        registry.segments.erase(key);
        return mapping.error();
    }
    Pointer segment(new Segment(std::move(file), std::move(*mapping), key.first, key.second));
    known = segment;
    return segment;
}

Segment::Pointer Segment::find(const void* address, std::uint64_t size) {
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    std::vector<Pointer> others;  // may be the last to hold some, whose end takes the lock: let go of after it
    auto& registry = Registry::get();
    const std::scoped_lock hold(registry.mutex);
    for (const auto& [key, known] : registry.segments) {
        auto segment = known.lock();
        if (!segment) continue;
        const auto from = reinterpret_cast<std::uintptr_t>(segment->data());
        if (begin >= from && begin - from <= segment->size() && size <= segment->size() - (begin - from))
            return segment;
        others.push_back(std::move(segment));
    }
    return nullptr;
}

void Segment::watch_end(std::weak_ptr<SegmentWatcher> watcher) const {
    const std::scoped_lock hold(Registry::get().mutex);
    std::erase_if(watchers_, [&](const auto& one) {
        return one.expired() || (!one.owner_before(watcher) && !watcher.owner_before(one));
    });
    watchers_.push_back(std::move(watcher));
}

Segment::~Segment() {
    {
        auto& registry = Registry::get();
        const std::scoped_lock hold(registry.mutex);
        const auto known = registry.segments.find({device_, inode_});
        // Another thread may have attached the same file anew since our last owner let go.
        if (known != registry.segments.end() && known->second.expired()) registry.segments.erase(known);
    }
    for (const auto& one : watchers_)
        if (const auto watcher = one.lock()) watcher->segment_ended();
}

}  // namespace mp::shm
