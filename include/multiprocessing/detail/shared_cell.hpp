/// \file
/// How a Value lies in shared memory. Not for direct use.
///
/// The contract: every operator is atomic, and a guard's read-modify-write excludes them all - while an operator on a
/// value that nobody guards costs one atomic instruction, and a guard's owner killed at any instruction blocks nobody
/// and leaves the value as it was.
///
/// Up to 8 bytes. Value and "guarded" flag are changed together by one atomic instruction: in one 64-bit word for up
/// to 4 bytes (value in the upper half), in a pair of 64-bit words changed by a 16-byte compare-exchange otherwise.
/// An operator whose instruction meets the flag takes the lock and repeats, that is, waits for the guard. A guard takes
/// the lock, sets the flag, works on a private copy and releases with a plain store of value and cleared flag. In the
/// one-word form an integer += is a fetch_add that may land on a guarded word: the guard's store wipes it out, and the
/// adder, who saw the flag in the old value, repeats - `saved` keeps what readers see meanwhile. When the owner dies,
/// the next holder of the robust lock puts `saved` back (one word) or only clears the flag (pair: operators cannot
/// have changed it).
///
/// More than 8 bytes. Two copies; `value` says which one counts. Every access takes the lock; a guard copies the current
/// one to the other, works there, and flips `value` by one store.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <multiprocessing/detail/shared_block.hpp>
#include <multiprocessing/export.hpp>

namespace mp::detail {

/// Room for a shm::RobustLock.
struct alignas(64) LockMemory {
    unsigned char bytes[64];
};

/// Takes the robust lock; whether it was left behind by a dead owner. Throws SystemError: EDEADLK when the calling
/// thread holds it already.
MP_EXPORT bool lock_memory(LockMemory& lock, const char* what);
MP_EXPORT void unlock_memory(LockMemory& lock) noexcept;
MP_EXPORT void initialise_lock(LockMemory& lock);

struct CellMemory {
    BlockHead head;
    std::uint32_t recovered;            ///< an operator found the lock's owner dead: news for the next guard. Under the lock
    std::uint32_t unused;
    std::atomic<std::uint64_t> saved;   ///< one-word form: the value while guarded. Written by guards, read by load()
    alignas(64) std::atomic<std::uint64_t> value;  ///< release by who changes it, acquire by who reads
    std::atomic<std::uint64_t> flag;    ///< pair: 1 while guarded. Next to `value`: both in one 16-byte exchange
    LockMemory lock;
};
static_assert(sizeof(CellMemory) == 192 && offsetof(CellMemory, value) == 64 && offsetof(CellMemory, flag) == 72);

inline constexpr std::size_t cell_copies_at = sizeof(CellMemory);

template <class T>
inline constexpr bool one_word = sizeof(T) <= 4;
template <class T>
inline constexpr bool two_words = sizeof(T) > 4 && sizeof(T) <= 8;
template <class T>
inline constexpr bool two_copies = (sizeof(T) > 8);

inline constexpr std::uint64_t guarded = 1;

enum class CellForm { one_word, two_words, two_copies };

/// Takes the cell's lock and repairs what a dead owner left; throws SystemError when this thread holds it already.
MP_EXPORT void enter_cell(CellMemory& cell, CellForm form);
MP_EXPORT void leave_cell(CellMemory& cell) noexcept;
/// enter_cell for a guard: also sets the flag. Whether an owner had died since the last guard.
MP_EXPORT bool begin_guard(CellMemory& cell, CellForm form, std::uint64_t& bits);
MP_EXPORT void end_guard(CellMemory& cell, CellForm form, std::uint64_t bits) noexcept;
MP_EXPORT SharedBlock create_cell(std::uint64_t type_size, std::uint64_t copy_size);

/// Changes {value, flag = 0} to {next, 0}; false, with `expected` brought up to date, when either was different.
inline bool exchange_pair(CellMemory& cell, std::uint64_t& expected, std::uint64_t next, std::uint64_t& flag) noexcept {
#if defined(__x86_64__)
    // The compiler offers this instruction only behind a machine option or a library call. A full barrier.
    struct [[gnu::may_alias]] Pair {
        std::uint64_t first, second;
    };
    bool done;
    flag = 0;
    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz"(done), "+m"(*reinterpret_cast<Pair*>(&cell.value)), "+a"(expected), "+d"(flag)
                 : "b"(next), "c"(std::uint64_t{0})
                 : "memory");
    return done;
#else
    // No 16-byte exchange: everything takes the lock.
    (void)cell, (void)expected, (void)next;
    flag = guarded;
    return false;
#endif
}

template <class T>
std::uint64_t to_bits(const T& value) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}

template <class T>
T from_bits(std::uint64_t bits) noexcept {
    std::remove_const_t<T> value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

/// The bits of T only: a fetch_add on a short leaves its carry above them.
template <class T>
std::uint64_t mask_bits(std::uint64_t bits) noexcept {
    if constexpr (sizeof(T) == 8) return bits;
    else return bits & ((std::uint64_t{1} << (8 * sizeof(T))) - 1);
}

template <class T>
inline constexpr CellForm cell_form = one_word<T>    ? CellForm::one_word
                                      : two_words<T> ? CellForm::two_words
                                                     : CellForm::two_copies;

/// Changes a value of up to 8 bytes to `next(old)`, atomically; `next` returns false to leave it. Returns the old
/// bits. `next` may be called several times.
template <class T, class Next>
std::uint64_t change_cell(CellMemory& cell, Next&& next) {
    const auto attempt = [&](std::uint64_t& old) {
        std::uint64_t wanted;
        if constexpr (one_word<T>) {
            std::uint64_t word = cell.value.load(std::memory_order_acquire);
            do {
                if (word & guarded) return false;
                old = mask_bits<T>(word >> 32);
                if (!next(old, wanted)) return true;
            } while (!cell.value.compare_exchange_weak(word, wanted << 32, std::memory_order_acq_rel,
                                                       std::memory_order_acquire));
            return true;
        } else {
            std::uint64_t bits = cell.value.load(std::memory_order_acquire);
            std::uint64_t flag;
            do {
                old = mask_bits<T>(bits);
                if (!next(old, wanted)) return true;
                if (exchange_pair(cell, bits, wanted, flag)) return true;
            } while (!flag);
            return false;
        }
    };
    std::uint64_t old;
    if (attempt(old)) [[likely]] return old;
    enter_cell(cell, cell_form<T>);
    if (!attempt(old)) {
        // Only without a 16-byte exchange: the lock is what excludes the others.
        std::uint64_t wanted;
        old = mask_bits<T>(cell.value.load(std::memory_order_relaxed));
        if (next(old, wanted)) cell.value.store(wanted, std::memory_order_release);
    }
    leave_cell(cell);
    return old;
}

/// Adds to an integer of up to 4 bytes; the old value's bits.
template <class T>
std::uint64_t add_to_word(CellMemory& cell, T amount) {
    const std::uint64_t change = to_bits(amount) << 32;
    std::uint64_t word = cell.value.fetch_add(change, std::memory_order_acq_rel);
    if (word & guarded) [[unlikely]] {
        enter_cell(cell, CellForm::one_word);
        word = cell.value.fetch_add(change, std::memory_order_acq_rel);
        leave_cell(cell);
    }
    return mask_bits<T>(word >> 32);
}

template <class T>
std::uint64_t read_cell(const CellMemory& cell) noexcept {
    const std::uint64_t word = cell.value.load(std::memory_order_acquire);
    if constexpr (one_word<T>) {
        if (word & guarded) [[unlikely]] return mask_bits<T>(cell.saved.load(std::memory_order_acquire));
        return mask_bits<T>(word >> 32);
    }
    return mask_bits<T>(word);
}

}  // namespace mp::detail
