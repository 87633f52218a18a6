// Memory of the caller in which calls of for_each work, and which workers keep mapped from one call to the next.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "pool/task.hpp"
#include "shm/segment.hpp"

namespace mp::pool {

/// A worker has such memory mapped as long as it knows a callable that works in it: to map it takes longer than many a
/// call. So the last callable of each place is kept until the caller lets go of the memory. Under the pool's lock.
class KeptPlaces {
  public:
    /// Instead of the place's last callable, or that of the place that was not used for longest. What is returned is to
    /// be forgotten, which is this one where there is no memory or descriptor left. `doorbell`, an eventfd, is rung
    /// when the caller lets go of the memory.
    std::shared_ptr<Callable> keep(const shm::Segment::Pointer& place, std::shared_ptr<Callable> callable,
                                   int doorbell) noexcept;
    /// The callables of places that the caller has let go of since the last call, to be forgotten.
    std::vector<std::shared_ptr<Callable>> ended();
    /// Of all places: nobody knows them any more.
    void clear() { places_.clear(); }

    /// Each takes a descriptor here and one in each worker.
    static constexpr std::size_t most = 64;

  private:
    class Bell;
    struct Place {
        std::weak_ptr<const shm::Segment> memory;
        std::shared_ptr<Callable> callable;
    };

    std::vector<Place> places_;  // that used last at the end
    std::shared_ptr<Bell> bell_;
};

}  // namespace mp::pool
