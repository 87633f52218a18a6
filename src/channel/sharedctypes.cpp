#include <multiprocessing/sharedctypes.hpp>

#include <limits>

#include <multiprocessing/errors.hpp>

#include "channel/raise.hpp"
#include "shm/kill_point.hpp"
#include "shm/robust_lock.hpp"

namespace mp::detail {

namespace {

shm::RobustLock& robust(LockMemory& memory) { return reinterpret_cast<shm::RobustLock&>(memory); }
static_assert(sizeof(shm::RobustLock) <= sizeof(LockMemory));

}  // namespace

void initialise_lock(LockMemory& lock) {
    const auto done = robust(*new (&lock) LockMemory{}).initialise();
    if (!done) channel::raise(done.error(), "cannot make a lock in shared memory");
}

bool lock_memory(LockMemory& lock, const char* what) {
    const int result = robust(lock).try_raw();
    if (result == 0) [[likely]] {
        shm::kill_point();
        return false;
    }
    const auto acquired = robust(lock).finish_lock(result, base::Deadline::never());
    if (!acquired) channel::raise(acquired.error(), std::string("cannot lock ") + what);
    shm::kill_point();
    return *acquired == shm::Acquired::recovered;
}

void unlock_memory(LockMemory& lock) noexcept {
    shm::kill_point();
    robust(lock).unlock_raw();
}

void enter_cell(CellMemory& cell, CellForm form) {
    if (lock_memory(cell.lock, "a Value")) cell.recovered = 1;
    // Only the lock's holder sets the flag, and we are that: a set one was left by the dead.
    if (form == CellForm::one_word && (cell.value.load(std::memory_order_relaxed) & guarded)) {
        cell.value.store(cell.saved.load(std::memory_order_relaxed) << 32, std::memory_order_release);
        shm::kill_point();
    } else if (form == CellForm::two_words) {
        cell.flag.store(0, std::memory_order_release);
    }
}

void leave_cell(CellMemory& cell) noexcept { unlock_memory(cell.lock); }

bool begin_guard(CellMemory& cell, CellForm form, std::uint64_t& bits) {
    enter_cell(cell, form);
    if (form == CellForm::one_word) {
        std::uint64_t word = cell.value.load(std::memory_order_acquire);
        do {
            cell.saved.store(word >> 32, std::memory_order_release);
            shm::kill_point();
        } while (!cell.value.compare_exchange_weak(word, word | guarded, std::memory_order_acq_rel,
                                                   std::memory_order_acquire));
        bits = word >> 32;
    } else if (form == CellForm::two_words) {
#if defined(__x86_64__)
        // Setting the flag alone is enough to fail every exchange that comes after it; what came before is in `value`.
        cell.flag.exchange(guarded, std::memory_order_acq_rel);
        shm::kill_point();
#endif
        bits = cell.value.load(std::memory_order_acquire);
    } else {
        bits = cell.value.load(std::memory_order_acquire);
    }
    shm::kill_point();
    const bool recovered = cell.recovered != 0;
    if (recovered) cell.recovered = 0;
    return recovered;
}

void end_guard(CellMemory& cell, CellForm form, std::uint64_t bits) noexcept {
    shm::kill_point();
    if (form == CellForm::one_word) {
        cell.value.store(bits << 32, std::memory_order_release);
    } else {
        cell.value.store(bits, std::memory_order_release);
        shm::kill_point();
        if (form == CellForm::two_words) cell.flag.store(0, std::memory_order_release);
    }
    unlock_memory(cell.lock);
}

SharedBlock create_cell(std::uint64_t type_size, std::uint64_t copy_size) {
    auto block = SharedBlock::create(BlockKind::value, type_size, sizeof(CellMemory) + 2 * copy_size, "a Value");
    initialise_lock(reinterpret_cast<CellMemory*>(block.data())->lock);
    return block;
}

SharedBlock create_array(std::uint64_t type_size, std::uint64_t count) {
    if (count > (std::numeric_limits<std::uint64_t>::max() / 2 - sizeof(ArrayMemory)) / type_size) {
        channel::raise(base::error_of(ENOMEM), "cannot allocate an Array of " + std::to_string(count) + " elements");
    }
    auto block = SharedBlock::create(BlockKind::array, type_size, sizeof(ArrayMemory) + type_size * count, "an Array");
    auto* memory = reinterpret_cast<ArrayMemory*>(block.data());
    memory->count = count;
    initialise_lock(memory->lock);
    return block;
}

SharedBlock attach_array(const serial::Handle& handle, std::uint64_t type_size) {
    auto block = SharedBlock::attach(handle, BlockKind::array, type_size, sizeof(ArrayMemory), "an Array");
    const auto* memory = reinterpret_cast<const ArrayMemory*>(block.data());
    if (memory->count > (block.size() - sizeof(ArrayMemory)) / type_size) {
        throw SerializationError("the Array that arrived is larger than its memory");
    }
    return block;
}

}  // namespace mp::detail
