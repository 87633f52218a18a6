#include <multiprocessing/synchronize.hpp>

#include <ostream>

#include "channel/raise.hpp"
#include "shm/kill_point.hpp"
#include "shm/robust_lock.hpp"
#include "shm/roster.hpp"

namespace mp {

using detail::BlockKind;
using detail::SharedBlock;

namespace {

enum State : std::uint32_t { waiting = 1, notified = 2 };

struct ConditionBlock {
    detail::BlockHead head;
    alignas(64) shm::RobustLock lock;  // of the roster
    alignas(64) shm::Roster waiters;
};

ConditionBlock& find(const SharedBlock& block) { return *reinterpret_cast<ConditionBlock*>(block.data()); }

}  // namespace

Condition::Condition() : block_(SharedBlock::create(BlockKind::condition, 0, sizeof(ConditionBlock), "a Condition")) {
    if (const auto done = find(block_).lock.initialise(); !done) {
        channel::raise(done.error(), "cannot make a Condition");
    }
}

Condition::Condition(const serial::Handle& waiters, const serial::Handle& lock)
    : block_(SharedBlock::attach(waiters, BlockKind::condition, sizeof(ConditionBlock), "a Condition")), own_(lock) {}

std::uint32_t Condition::enroll() {
    auto& block = find(block_);
    const shm::RobustHold hold(block.lock);
    auto place = block.waiters.enter(waiting);
    if (!place) {
        // Places of the dead are found when somebody notifies, or now.
        for (std::uint32_t i = 0; i < block.waiters.size(); ++i) block.waiters.bury(i);
        place = block.waiters.enter(waiting);
    }
    if (!place) channel::raise(base::error_of(ENOSPC), "cannot wait for a Condition: too many waiters");
    shm::kill_point();
    return *place;
}

bool Condition::await(std::uint32_t index, detail::WaitLimit limit) {
    auto& block = find(block_);
    auto& place = block.waiters[index];
    shm::kill_point();
    shm::wait_until(
        place.word, [&] { return place.state.load(std::memory_order_acquire) == notified; },
        base::Deadline::after(limit));
    const shm::RobustHold hold(block.lock);
    // A notification that came after the time had run out counts: it has been used up.
    const bool told = place.state.load(std::memory_order_relaxed) == notified;
    shm::kill_point();
    block.waiters.leave(index);
    return told;
}

void Condition::notify_one(std::size_t count) {
    auto& block = find(block_);
    const shm::RobustHold hold(block.lock);
    while (count > 0) {
        const auto index = block.waiters.oldest(waiting);
        if (!index) return;
        if (block.waiters.bury(*index)) continue;
        auto& place = block.waiters[*index];
        place.state.store(notified, std::memory_order_release);
        shm::kill_point();
        shm::notify(place.word);
        --count;
    }
}

void Condition::internal_write(std::ostream& out) const {
    auto& block = find(block_);
    std::size_t waiters = 0;
    {
        const shm::RobustHold hold(block.lock);
        for (std::uint32_t i = 0; i < block.waiters.size(); ++i) {
            waiters += block.waiters[i].state.load(std::memory_order_relaxed) == waiting;
        }
    }
    out << "Condition(" << own_ << ", waiters=" << waiters << ')';
}

std::ostream& operator<<(std::ostream& out, const Condition& condition) {
    condition.internal_write(out);
    return out;
}

void Condition::notify_all() { notify_one(static_cast<std::size_t>(-1)); }

}  // namespace mp
