#include <multiprocessing/synchronize.hpp>

#include <algorithm>
#include <ostream>

#include "channel/raise.hpp"
#include "os/process_identity.hpp"
#include "shm/kill_point.hpp"
#include "shm/robust_lock.hpp"
#include "shm/wait.hpp"

namespace mp {

using base::Deadline;
using detail::BlockHead;
using detail::BlockKind;
using detail::SharedBlock;

namespace {

struct SemaphoreBlock {
    BlockHead head;
    std::atomic<std::uint64_t> value;
    shm::WakeWord word;
};

struct EventBlock {
    BlockHead head;
    std::atomic<std::uint32_t> flag;
    std::atomic<std::uint32_t> times;  // how often it was set
    shm::WakeWord word;
};

/// What one process holds. The permits left are the maximum less the sum of these: one store takes or gives one.
struct Holder {
    os::ProcessIdentity process;         // under the lock
    std::atomic<std::uint64_t> permits;  // changed under the lock
};

struct BoundedBlock {
    static constexpr std::size_t holders = 4096;
    BlockHead head;  // detail: the most permits
    shm::WakeWord word;
    std::atomic<std::uint32_t> used;  // holders that were ever in use
    std::atomic<std::uint32_t> recovered;
    alignas(64) shm::RobustLock lock;
    alignas(64) Holder table[holders];

    /// Others can write `used`: never believe more than there are.
    std::uint32_t known_holders() const {
        return std::min<std::uint32_t>(used.load(std::memory_order_acquire), holders);
    }
};

template <class Block>
Block& find(const SharedBlock& block) {
    return *reinterpret_cast<Block*>(block.data());
}

std::uint64_t held(const BoundedBlock& block) {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < block.known_holders(); ++i) sum += block.table[i].permits.load(std::memory_order_relaxed);
    return sum;
}

/// With the lock held: takes back what the dead hold.
bool reclaim(BoundedBlock& block) {
    bool found = false;
    const os::ProcessIdentity self = os::this_process();
    for (std::uint32_t i = 0; i < block.known_holders(); ++i) {
        Holder& holder = block.table[i];
        if (holder.permits.load(std::memory_order_relaxed) == 0 || holder.process == self) continue;
        if (os::is_alive(holder.process)) continue;
        holder.permits.store(0, std::memory_order_release);
        block.recovered.store(1, std::memory_order_relaxed);
        found = true;
    }
    return found;
}

/// With the lock held: the entry of this process.
Holder& own_entry(BoundedBlock& block) {
    const os::ProcessIdentity self = os::this_process();
    Holder* free = nullptr;
    const std::uint32_t used = block.known_holders();
    for (std::uint32_t i = 0; i < used; ++i) {
        Holder& holder = block.table[i];
        if (holder.process == self) return holder;
        if (!free && holder.permits.load(std::memory_order_relaxed) == 0) free = &holder;
    }
    if (!free) {
        if (used == BoundedBlock::holders) {
            channel::raise(base::error_of(ENOSPC), "cannot acquire a BoundedSemaphore: too many processes hold permits");
        }
        free = &block.table[used];
        block.used.store(used + 1, std::memory_order_release);
        shm::kill_point();
    }
    free->process = self;
    return *free;
}

}  // namespace

Semaphore::Semaphore(std::size_t permits)
    : SemaphoreFace(SharedBlock::create(BlockKind::semaphore, 0, sizeof(SemaphoreBlock), "a Semaphore")) {
    find<SemaphoreBlock>(block_).value.store(permits, std::memory_order_release);
}

Semaphore::Semaphore(const serial::Handle& handle)
    : SemaphoreFace(SharedBlock::attach(handle, BlockKind::semaphore, sizeof(SemaphoreBlock), "a Semaphore")) {}

bool Semaphore::take(detail::WaitLimit limit) {
    auto& block = find<SemaphoreBlock>(block_);
    const auto try_take = [&] {
        std::uint64_t value = block.value.load(std::memory_order_acquire);
        while (value != 0) {
            if (block.value.compare_exchange_weak(value, value - 1, std::memory_order_acq_rel,
                                                  std::memory_order_acquire)) {
                return true;
            }
        }
        return false;
    };
    if (try_take()) return true;
    if (limit == detail::not_at_all) return false;
    return shm::wait_until(block.word, try_take, Deadline::after(limit));
}

void Semaphore::release(std::size_t permits) {
    auto& block = find<SemaphoreBlock>(block_);
    block.value.fetch_add(permits, std::memory_order_acq_rel);
    shm::kill_point();
    shm::notify(block.word, static_cast<int>(std::min<std::size_t>(permits, shm::wake_everybody)));
}

std::size_t Semaphore::value() const noexcept {
    return find<SemaphoreBlock>(block_).value.load(std::memory_order_acquire);
}

BoundedSemaphore::BoundedSemaphore(std::size_t permits)
    : SemaphoreFace(
          SharedBlock::create(BlockKind::bounded_semaphore, permits, sizeof(BoundedBlock), "a BoundedSemaphore")) {
    if (const auto done = find<BoundedBlock>(block_).lock.initialise(); !done) {
        channel::raise(done.error(), "cannot make a BoundedSemaphore");
    }
}

BoundedSemaphore::BoundedSemaphore(const serial::Handle& handle)
    : SemaphoreFace(SharedBlock::attach(handle, BlockKind::bounded_semaphore, sizeof(BoundedBlock),
                                        "a BoundedSemaphore")) {}

bool BoundedSemaphore::take(detail::WaitLimit limit) {
    auto& block = find<BoundedBlock>(block_);
    const std::uint64_t most = block.head.detail;
    const auto try_take = [&](bool look_for_dead) {
        if (!look_for_dead && held(block) >= most) return false;
        const shm::RobustHold hold(block.lock);
        if (held(block) >= most && !(look_for_dead && reclaim(block))) return false;
        auto& permits = own_entry(block).permits;
        permits.store(permits.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        shm::kill_point();
        return true;
    };
    if (try_take(false)) return true;
    if (limit == detail::not_at_all) return try_take(true);
    bool taken = false;
    shm::wait_until(
        block.word, [&] { return taken || (taken = try_take(false)); }, Deadline::after(limit), shm::thread_patience(),
        [&] {
            if (!taken) taken = try_take(true);
            return !taken;
        });
    return taken || try_take(true);
}

void BoundedSemaphore::release() {
    auto& block = find<BoundedBlock>(block_);
    {
        const shm::RobustHold hold(block.lock);
        Holder* holder = nullptr;
        const os::ProcessIdentity self = os::this_process();
        for (std::uint32_t i = 0; i < block.known_holders(); ++i) {
            Holder& other = block.table[i];
            if (other.permits.load(std::memory_order_relaxed) == 0) continue;
            if (!holder || other.process == self) holder = &other;
        }
        if (!holder) {
            channel::raise(base::error_of(EPERM), "cannot release a BoundedSemaphore more often than it was acquired");
        }
        holder->permits.store(holder->permits.load(std::memory_order_relaxed) - 1, std::memory_order_release);
        shm::kill_point();
    }
    shm::notify(block.word, 1);
}

std::size_t BoundedSemaphore::value() const noexcept {
    auto& block = find<BoundedBlock>(block_);
    const std::uint64_t taken = held(block);
    return taken < block.head.detail ? block.head.detail - taken : 0;
}

bool BoundedSemaphore::recovered() const noexcept { return find<BoundedBlock>(block_).recovered != 0; }

std::ostream& operator<<(std::ostream& out, const Semaphore& semaphore) {
    return out << "Semaphore(value=" << semaphore.value() << ')';
}

void BoundedSemaphore::internal_write(std::ostream& out) const {
    auto& block = find<BoundedBlock>(block_);
    const shm::RobustHold hold(block.lock);
    out << "BoundedSemaphore(value=" << value() << '/' << block.head.detail;
    for (std::uint32_t i = 0; i < block.known_holders(); ++i) {
        const std::uint64_t permits = block.table[i].permits.load(std::memory_order_relaxed);
        if (permits != 0) out << ", process " << block.table[i].process.pid << " holds " << permits;
    }
    out << ')';
}

std::ostream& operator<<(std::ostream& out, const BoundedSemaphore& semaphore) {
    semaphore.internal_write(out);
    return out;
}

Event::Event() : block_(SharedBlock::create(BlockKind::event, 0, sizeof(EventBlock), "an Event")) {}
Event::Event(const serial::Handle& handle)
    : block_(SharedBlock::attach(handle, BlockKind::event, sizeof(EventBlock), "an Event")) {}

void Event::set() {
    auto& block = find<EventBlock>(block_);
    block.flag.store(1, std::memory_order_release);
    shm::kill_point();
    block.times.fetch_add(1, std::memory_order_acq_rel);
    shm::kill_point();
    shm::notify(block.word);
}

void Event::clear() { find<EventBlock>(block_).flag.store(0, std::memory_order_release); }

bool Event::is_set() const noexcept { return find<EventBlock>(block_).flag.load(std::memory_order_acquire) != 0; }

bool Event::await(detail::WaitLimit limit) {
    auto& block = find<EventBlock>(block_);
    const std::uint32_t before = block.times.load(std::memory_order_acquire);
    const auto ready = [&] {
        return block.flag.load(std::memory_order_acquire) != 0 || block.times.load(std::memory_order_acquire) != before;
    };
    if (ready()) return true;
    if (limit == detail::not_at_all) return false;
    return shm::wait_until(block.word, ready, Deadline::after(limit));
}

std::ostream& operator<<(std::ostream& out, const Event& event) {
    return out << (event.is_set() ? "Event(set)" : "Event(unset)");
}

}  // namespace mp
