#include "os/image.hpp"

#include <pthread.h>
#include <sys/random.h>

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <multiprocessing/errors.hpp>

#include "base/expected.hpp"
#include "os/own_pid.hpp"
#include "os/retry.hpp"

namespace mp::os {

namespace {

struct Image {
    std::array<std::byte, 16> token;
    std::uint64_t names;  // given so far
    pid_t owner;          // the only process that gives more
};

struct Named {
    ImagePlace place;
    std::uint64_t fingerprint;
};

struct Names {
    std::mutex mutex;
    std::vector<Image> images;  // the inherited ones first
    std::unordered_map<const void*, Named> by_address;
    std::atomic<std::uint64_t> count{0};  // of all images together; changed under the mutex, read without
};

Names& names();

// A fork waits until nobody is at it, so that the child finds it whole and free.
void lock_for_fork() { names().mutex.lock(); }
void unlock_after_fork() { names().mutex.unlock(); }

// Never destroyed: static destructors of the program may still call.
Names& names() {
    static Names& instance = *new Names;  // NOLINT(cppcoreguidelines-owning-memory)
    return instance;
}

Image new_image() {
    static const int registered = ::pthread_atfork(&lock_for_fork, &unlock_after_fork, &unlock_after_fork);
    static_cast<void>(registered);
    Image image{{}, 0, own_pid()};
    const auto got = retry([&] { return ::getrandom(image.token.data(), image.token.size(), 0); });
    if (got != static_cast<ssize_t>(image.token.size()))
        throw SystemError(base::last_error(), "cannot name code that was generated at run time: getrandom");
    return image;
}

}  // namespace

ImagePlace name_in_image(const void* address, std::uint64_t fingerprint) {
    Names& all = names();
    const std::lock_guard lock(all.mutex);
    const auto known = all.by_address.find(address);
    if (known != all.by_address.end() && known->second.fingerprint == fingerprint) return known->second.place;
    if (all.images.empty() || all.images.back().owner != own_pid()) all.images.push_back(new_image());
    Image& image = all.images.back();
    const ImagePlace place{image.token, ++image.names};
    all.count.fetch_add(1, std::memory_order_relaxed);
    all.by_address.insert_or_assign(address, Named{place, fingerprint});
    return place;
}

bool in_this_image(const ImagePlace& place) {
    Names& all = names();
    const std::lock_guard lock(all.mutex);
    for (const Image& image : all.images)
        if (image.token == place.token) return place.number >= 1 && place.number <= image.names;
    return false;
}

std::uint64_t names_in_image() { return names().count.load(std::memory_order_relaxed); }

}  // namespace mp::os
