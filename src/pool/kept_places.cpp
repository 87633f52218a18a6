#include "pool/kept_places.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

#include "os/unique_fd.hpp"

namespace mp::pool {

// Outlives the pool when a place is let go of at that moment.
class KeptPlaces::Bell final : public shm::SegmentWatcher {
  public:
    explicit Bell(os::UniqueFd doorbell) : doorbell_(std::move(doorbell)) {}

    void segment_ended() noexcept override {
        rung_.store(true, std::memory_order_release);
        const std::uint64_t one = 1;
        static_cast<void>(!::write(doorbell_.get(), &one, sizeof one));
    }
    bool was_rung() {
        return rung_.load(std::memory_order_relaxed) && rung_.exchange(false, std::memory_order_acquire);
    }

  private:
    std::atomic<bool> rung_{false};  // released after the segment has no owner left, acquired by who looks for it
    os::UniqueFd doorbell_;
};

std::shared_ptr<Callable> KeptPlaces::keep(const shm::Segment::Pointer& place, std::shared_ptr<Callable> callable,
                                           int doorbell) noexcept {
    const auto known = std::ranges::find_if(
        places_, [&](const Place& one) { return !one.memory.owner_before(place) && !place.owner_before(one.memory); });
    if (known != places_.end()) {
        std::rotate(known, known + 1, places_.end());
        return std::exchange(places_.back().callable, std::move(callable));
    }
    try {
        if (!bell_) {
            auto own = os::UniqueFd::duplicate(doorbell);
            if (!own) return callable;
            bell_ = std::make_shared<Bell>(std::move(own));
        }
        places_.reserve(most);
        place->watch_end(bell_);
    } catch (const std::bad_alloc&) {
        return callable;
    }
    std::shared_ptr<Callable> too_many;
    if (places_.size() == most) {
        too_many = std::move(places_.front().callable);
        places_.erase(places_.begin());
    }
    places_.push_back({place, std::move(callable)});
    return too_many;
}

std::vector<std::shared_ptr<Callable>> KeptPlaces::ended() {
    std::vector<std::shared_ptr<Callable>> callables;
    if (!bell_ || !bell_->was_rung()) return callables;
    std::erase_if(places_, [&](Place& place) {
        if (!place.memory.expired()) return false;
        callables.push_back(std::move(place.callable));
        return true;
    });
    return callables;
}

}  // namespace mp::pool
