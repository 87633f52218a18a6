// A list, in shared memory, of threads that wait, from which the dead can be told.
//
// Each waiting thread holds the robust lock of its place for as long as it waits: whoever wants to know whether it still
// lives tries to take that lock. Everything but `word` and reading `state` happens under the owner's lock of the list.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "shm/robust_lock.hpp"
#include "shm/wait.hpp"

namespace mp::shm {

struct RosterPlace {
    RobustLock life;                   // held by the waiting thread
    std::atomic<std::uint32_t> state;  // 0: free; others as the list's owner likes. Release by its lock's holder
    WakeWord word;                     // the waiting thread sleeps here
    std::uint64_t ticket;              // order of arrival
    std::uint64_t round;               // of a barrier
};
static_assert(sizeof(RosterPlace) == 64);

class Roster {
  public:
    static constexpr std::uint32_t capacity = 2000;

    /// A free place, its lock taken by the calling thread, with the next ticket and `state`; none when all are taken.
    std::optional<std::uint32_t> enter(std::uint32_t state, std::uint64_t round = 0) {
        for (std::uint32_t i = 0; i < capacity; ++i) {
            RosterPlace& place = places_[i];
            if (i == used_) {
                if (!place.life.initialise()) return std::nullopt;
                ++used_;
            }
            if (place.state.load(std::memory_order_relaxed) != 0) continue;
            // Free places may be locked for a moment still by who leaves them.
            const auto locked = place.life.try_lock();
            if (!locked || *locked == Acquired::timed_out) continue;
            place.ticket = ++tickets_;
            place.round = round;
            place.state.store(state, std::memory_order_release);
            return i;
        }
        return std::nullopt;
    }
    /// By the thread that entered.
    void leave(std::uint32_t index) {
        places_[index].state.store(0, std::memory_order_release);
        (void)places_[index].life.unlock();
    }

    std::uint32_t size() const { return used_ < capacity ? used_ : capacity; }
    RosterPlace& operator[](std::uint32_t index) { return places_[index]; }

    /// Frees the place if its thread is gone; whether it was. Not for the calling thread's own.
    bool bury(std::uint32_t index) {
        const auto locked = places_[index].life.try_lock();
        if (!locked || *locked == Acquired::timed_out) return false;
        leave(index);
        return true;
    }

    /// The place in `state` that has waited longest.
    std::optional<std::uint32_t> oldest(std::uint32_t state) const {
        std::optional<std::uint32_t> found;
        for (std::uint32_t i = 0; i < used_; ++i) {
            if (places_[i].state.load(std::memory_order_relaxed) != state) continue;
            if (!found || places_[i].ticket < places_[*found].ticket) found = i;
        }
        return found;
    }

  private:
    std::uint32_t used_;  // places whose lock has been initialised
    [[maybe_unused]] std::uint32_t unused_;
    std::uint64_t tickets_;
    alignas(64) RosterPlace places_[capacity];
};

}  // namespace mp::shm
