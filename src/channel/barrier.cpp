#include <multiprocessing/synchronize.hpp>

#include <algorithm>
#include <ostream>
#include <string>

#include "channel/raise.hpp"
#include "shm/kill_point.hpp"
#include "shm/robust_lock.hpp"
#include "shm/roster.hpp"

namespace mp {

using detail::BlockKind;
using detail::SharedBlock;

BrokenBarrier::~BrokenBarrier() = default;

namespace {

enum State : std::uint32_t { at_barrier = 1, failed = 2 };

/// A round is passed by one store to `passed`; it is broken by marking its waiters one by one and then a store to
/// `abandoned`. The present round is the one after both. Who dies in the middle of marking leaves marked waiters in the
/// present round, by which the next holder of the lock knows.
struct BarrierBlock {
    detail::BlockHead head;                // detail: parties
    std::atomic<std::uint64_t> passed;     // the last round that was. Under the lock; release, acquired by waiters
    std::atomic<std::uint64_t> abandoned;  // the last round that was broken. Under the lock
    std::atomic<std::uint32_t> broken;     // until reset
    alignas(64) shm::RobustLock lock;
    alignas(64) shm::Roster arrived;

    std::uint64_t round() const {
        return std::max(passed.load(std::memory_order_relaxed), abandoned.load(std::memory_order_relaxed)) + 1;
    }
};

BarrierBlock& find(const SharedBlock& block) { return *reinterpret_cast<BarrierBlock*>(block.data()); }

template <class Action>
void for_each_of_round(BarrierBlock& block, std::uint64_t round, Action action) {
    for (std::uint32_t i = 0; i < block.arrived.size(); ++i) {
        auto& place = block.arrived[i];
        if (place.state.load(std::memory_order_relaxed) != 0 && place.round == round) action(i, place);
    }
}

/// With the lock held: who waits in the present round gets BrokenBarrier.
void abandon_round(BarrierBlock& block) {
    const std::uint64_t round = block.round();
    for_each_of_round(block, round, [](std::uint32_t, shm::RosterPlace& place) {
        place.state.store(failed, std::memory_order_release);
        shm::kill_point();
        shm::notify(place.word);
    });
    block.abandoned.store(round, std::memory_order_release);
    shm::kill_point();
}

void break_barrier(BarrierBlock& block) {
    block.broken.store(1, std::memory_order_release);
    shm::kill_point();
    abandon_round(block);
}

/// The barrier's lock; finishes what a dead holder began.
class Hold {
  public:
    explicit Hold(BarrierBlock& block) : hold_(block.lock) {
        bool half_broken = hold_.recovered();
        for_each_of_round(block, block.round(), [&](std::uint32_t, shm::RosterPlace& place) {
            half_broken |= place.state.load(std::memory_order_relaxed) == failed;
        });
        // A holder that died may have been the last to arrive, or running the action: that round is lost.
        if (half_broken) break_barrier(block);
    }

  private:
    shm::RobustHold hold_;
};

/// With the lock held: breaks the barrier if somebody who waits in this round is dead.
void look_for_dead(BarrierBlock& block, std::uint32_t own) {
    bool dead = false;
    for_each_of_round(block, block.round(), [&](std::uint32_t i, shm::RosterPlace&) {
        if (i != own) dead |= block.arrived.bury(i);
    });
    if (dead) break_barrier(block);
}

}  // namespace

Barrier::Barrier(std::size_t parties, std::function<void()> action, detail::WaitLimit limit)
    : action_(std::move(action)), limit_(limit) {
    if (parties == 0 || parties > shm::Roster::capacity) {
        channel::raise(base::error_of(EINVAL), "cannot make a Barrier of " + std::to_string(parties) + " parties");
    }
    block_ = SharedBlock::create(BlockKind::barrier, parties, sizeof(BarrierBlock), "a Barrier");
    if (const auto done = find(block_).lock.initialise(); !done) channel::raise(done.error(), "cannot make a Barrier");
}

Barrier::Barrier(const serial::Handle& handle)
    : block_(SharedBlock::attach(handle, BlockKind::barrier, sizeof(BarrierBlock), "a Barrier")) {}

std::size_t Barrier::arrive(detail::WaitLimit limit) {
    auto& block = find(block_);
    std::uint64_t round;
    std::uint32_t own;
    std::size_t index = 0;
    {
        const Hold hold(block);
        if (block.broken.load(std::memory_order_relaxed)) throw BrokenBarrier("the barrier is broken");
        round = block.round();
        look_for_dead(block, shm::Roster::capacity);
        if (block.broken.load(std::memory_order_relaxed)) {
            throw BrokenBarrier("the barrier is broken: a process was killed while it waited there");
        }
        for_each_of_round(block, round, [&](std::uint32_t, shm::RosterPlace&) { ++index; });
        if (index + 1 == parties()) {
            shm::kill_point();
            if (action_) {
                try {
                    action_();
                } catch (...) {
                    break_barrier(block);
                    throw;
                }
            }
            block.passed.store(round, std::memory_order_release);
            shm::kill_point();
            for_each_of_round(block, round,
                              [](std::uint32_t, shm::RosterPlace& place) { shm::notify(place.word); });
            return index;
        }
        auto place = block.arrived.enter(at_barrier, round);
        if (!place) {
            // Places of the dead of earlier rounds.
            for (std::uint32_t i = 0; i < block.arrived.size(); ++i) {
                if (block.arrived[i].round != round) block.arrived.bury(i);
            }
            place = block.arrived.enter(at_barrier, round);
        }
        if (!place) channel::raise(base::error_of(ENOSPC), "cannot wait at a Barrier: too many waiters");
        own = *place;
        shm::kill_point();
    }
    auto& place = block.arrived[own];
    const auto over = [&] {
        return place.state.load(std::memory_order_acquire) == failed ||
               block.passed.load(std::memory_order_acquire) >= round;
    };
    const bool in_time = shm::wait_until(place.word, over, base::Deadline::after(limit), shm::thread_patience(), [&] {
        const Hold hold(block);
        if (!over()) look_for_dead(block, own);
        return true;
    });
    const Hold hold(block);
    if (!over()) break_barrier(block);
    const bool passed = place.state.load(std::memory_order_relaxed) != failed;
    block.arrived.leave(own);
    if (passed) return index;
    throw BrokenBarrier(in_time ? "the barrier was broken while waiting there"
                                : "the barrier is broken: not all parties arrived in time");
}

void Barrier::abort() {
    auto& block = find(block_);
    const Hold hold(block);
    break_barrier(block);
}

void Barrier::reset() {
    auto& block = find(block_);
    const Hold hold(block);
    abandon_round(block);
    block.broken.store(0, std::memory_order_release);
}

std::size_t Barrier::parties() const noexcept { return find(block_).head.detail; }
bool Barrier::broken() const noexcept { return find(block_).broken.load(std::memory_order_acquire) != 0; }

std::size_t Barrier::waiting() const {
    auto& block = find(block_);
    const Hold hold(block);
    std::size_t count = 0;
    for_each_of_round(block, block.round(), [&](std::uint32_t, shm::RosterPlace&) { ++count; });
    return count;
}

std::ostream& operator<<(std::ostream& out, const Barrier& barrier) {
    return out << (barrier.broken() ? "Barrier(broken, waiting=" : "Barrier(waiting=") << barrier.waiting() << '/'
               << barrier.parties() << ')';
}

}  // namespace mp
