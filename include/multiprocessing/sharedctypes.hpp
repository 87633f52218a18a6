/// \file
/// Value and Array: variables that several processes share.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

#include <multiprocessing/detail/shared_block.hpp>
#include <multiprocessing/detail/shared_cell.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

namespace detail {

/// What can lie in shared memory as it is: copying its bytes copies it, and it does not point anywhere.
template <class T>
concept bytewise_shared = std::is_trivially_copyable_v<T> && (serial::bytewise<T> || serial::detail::has_archive<T>);

template <class T>
concept addable = std::is_arithmetic_v<T> && !std::same_as<T, bool>;

struct ArrayMemory {
    BlockHead head;
    std::uint64_t count;  ///< elements; written once by the creator
    LockMemory lock;
};
static_assert(sizeof(ArrayMemory) == 128);

MP_EXPORT SharedBlock create_array(std::uint64_t type_size, std::uint64_t count);
MP_EXPORT SharedBlock attach_array(const serial::Handle& handle, std::uint64_t type_size);

}  // namespace detail

/// One T in shared memory. Copies of a Value are the same variable: it can be an argument, a member of a message, a
/// capture. Every operator is atomic, from any thread of any process: a lost update cannot be written with them. For
/// more than one operator can say, lock() gives a guard, or update() applies a function.
///
/// An operator costs about what it costs on std::atomic while nobody holds a guard, and waits while somebody does.
/// A guard's changes become visible all at once when it is released; if its process is killed before, the value stays
/// as it was and nobody waits: the next guard is told by recovered().
template <class T>
class Value {
    static_assert(detail::bytewise_shared<T>,
                  "mp::Value<T>: T must be trivially copyable and no pointer, because its bytes are all that another "
                  "process sees; use mp::Queue or mp::Manager for other types");

  public:
    using value_type = T;

    /// A new variable in shared memory. Throws SystemError when there is no memory or descriptor left.
    explicit Value(T initial = T()) : block_(detail::create_cell(sizeof(T), copies_size)), cell_(find(block_)) {
        if constexpr (detail::two_copies<T>) std::memcpy(copy(0), &initial, sizeof(T));
        else cell_->value.store(detail::to_bits(initial) << shift, std::memory_order_release);
    }

    Value(const Value&) = default;
    Value(Value&&) noexcept = default;
    /// Which of the two is meant - the variable or its contents - would be a guess: `a.store(b.load())`.
    Value& operator=(const Value&) = delete;
    Value& operator=(Value&&) noexcept = default;

    /// The current value. Never waits for T up to 8 bytes: while another holds a guard, that is the value before it.
    T load() const {
        if constexpr (detail::two_copies<T>) {
            alignas(T) std::byte bytes[sizeof(T)];
            detail::enter_cell(*cell_, form);
            std::memcpy(bytes, copy(cell_->value.load(std::memory_order_acquire)), sizeof(T));
            detail::leave_cell(*cell_);
            return *reinterpret_cast<T*>(bytes);
        } else {
            return detail::from_bits<T>(detail::read_cell<T>(*cell_));
        }
    }
    operator T() const { return load(); }

    /// Replaces the value; waits while another holds a guard.
    void store(T next) {
        if constexpr (detail::two_copies<T>) *lock() = next;
        else exchange(next);
    }
    T operator=(T next) { return store(next), next; }

    /// Stores and returns what was there before.
    T exchange(T next) {
        return update_from([&](const T&) { return next; }).first;
    }

    /// Stores `next` if the value is `expected`, byte for byte; otherwise puts the current value into `expected`.
    bool compare_exchange(T& expected, T next)
        requires(sizeof(T) <= 8)
    {
        const std::uint64_t wanted = detail::mask_bits<T>(detail::to_bits(expected));
        const std::uint64_t old = detail::change_cell<T>(*cell_, [&](std::uint64_t current, std::uint64_t& bits) {
            bits = detail::to_bits(next);
            return current == wanted;
        });
        if (old == wanted) return true;
        expected = detail::from_bits<T>(old);
        return false;
    }

    /// Replaces the value by `change(value)`, atomically; returns the new value. `change` may be called several times
    /// and must not touch this Value.
    template <class Change>
        requires std::is_invocable_r_v<T, Change&, const T&>
    T update(Change&& change) {
        return update_from(change).second;
    }

    /// Adds and returns what was there before; lock-free for integers.
    T fetch_add(T amount)
        requires detail::addable<T>
    {
        if constexpr (std::is_integral_v<T> && detail::one_word<T>) {
            return detail::from_bits<T>(detail::add_to_word<T>(*cell_, amount));
        } else {
            return update_from([&](T old) { return plus(old, amount); }).first;
        }
    }
    /// Subtracts and returns what was there before.
    T fetch_sub(T amount)
        requires detail::addable<T>
    {
        if constexpr (std::is_integral_v<T>) return fetch_add(negated(amount));
        else return update_from([&](T old) { return static_cast<T>(old - amount); }).first;
    }

    // Each returns the new value. Integers wrap around.
    T operator+=(T amount)
        requires detail::addable<T>
    {
        return plus(fetch_add(amount), amount);
    }
    T operator-=(T amount)
        requires detail::addable<T>
    {
        if constexpr (std::is_integral_v<T>) return plus(fetch_add(negated(amount)), negated(amount));
        else return static_cast<T>(fetch_sub(amount) - amount);
    }
    T operator++()
        requires detail::addable<T>
    {
        return *this += T(1);
    }
    T operator--()
        requires detail::addable<T>
    {
        return *this -= T(1);
    }
    T operator++(int)
        requires detail::addable<T>
    {
        return fetch_add(T(1));
    }
    T operator--(int)
        requires detail::addable<T>
    {
        return fetch_sub(T(1));
    }
    T operator*=(T factor)
        requires detail::addable<T>
    {
        return update([&](T old) { return static_cast<T>(old * factor); });
    }
    T operator/=(T divisor)
        requires detail::addable<T>
    {
        return update([&](T old) { return static_cast<T>(old / divisor); });
    }
    T operator&=(T mask)
        requires std::integral<T>
    {
        return update([&](T old) { return static_cast<T>(old & mask); });
    }
    T operator|=(T mask)
        requires std::integral<T>
    {
        return update([&](T old) { return static_cast<T>(old | mask); });
    }
    T operator^=(T mask)
        requires std::integral<T>
    {
        return update([&](T old) { return static_cast<T>(old ^ mask); });
    }

    /// Exclusive access: `auto v = total.lock(); *v = *v * 2;` or `v->field`. To be released by the thread that took
    /// it. While it is held, no operator of anybody takes effect; an operator in the same thread throws SystemError
    /// (EDEADLK). Changes count from the release on, also when an exception leads to it.
    class Guard {
      public:
        explicit Guard(const Value& value) : block_(value.block_), cell_(*value.cell_) {
            std::uint64_t bits;
            recovered_ = detail::begin_guard(cell_, form, bits);
            if constexpr (detail::two_copies<T>) {
                next_ = 1 - (bits & 1);
                std::memcpy(value.copy(next_), value.copy(1 - next_), sizeof(T));
                target_ = reinterpret_cast<T*>(value.copy(next_));
            } else {
                std::memcpy(bytes_, &bits, sizeof(T));
                target_ = reinterpret_cast<T*>(bytes_);
            }
        }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
        ~Guard() { unlock(); }

        T& operator*() const noexcept { return *target_; }
        T* operator->() const noexcept { return target_; }

        /// Whether somebody who held the guard, or an operator at work, was killed since the last guard. The value is
        /// whole all the same: the last one that was released.
        bool recovered() const noexcept { return recovered_; }

        /// Makes the changes count and lets the others go on; afterwards the guard must not be used.
        void unlock() noexcept {
            if (!target_) return;
            if constexpr (detail::two_copies<T>) detail::end_guard(cell_, form, next_);
            else detail::end_guard(cell_, form, detail::to_bits(*target_));
            target_ = nullptr;
        }

      private:
        detail::SharedBlock block_;  // the guard may outlive the Value
        detail::CellMemory& cell_;
        T* target_ = nullptr;
        std::uint64_t next_ = 0;
        alignas(8) alignas(T) std::byte bytes_[8] = {};
        bool recovered_ = false;
    };

    /// Waits for the lock and holds it as long as the guard lives. A lock whose owner died is taken over.
    [[nodiscard]] Guard lock() const { return Guard(*this); }

    /// Whether both are the same variable.
    bool is_same(const Value& other) const noexcept { return block_ == other.block_; }

    /// \cond internal
    static Value internal_attach(const serial::Handle& handle) {
        return Value(detail::SharedBlock::attach(handle, detail::BlockKind::value, sizeof(T),
                                                 sizeof(detail::CellMemory) + 2 * copies_size, "a Value"));
    }
    const detail::SharedBlock& internal_block() const noexcept { return block_; }
    /// \endcond

  private:
    static constexpr auto form = detail::cell_form<T>;
    static constexpr int shift = detail::one_word<T> ? 32 : 0;
    static constexpr std::size_t copies_align = alignof(T) > 64 ? alignof(T) : 64;
    static constexpr std::size_t copies_size =
        detail::two_copies<T> ? (sizeof(T) + copies_align - 1) / copies_align * copies_align : 0;
    static_assert(alignof(T) <= 64, "mp::Value<T>: more than 64 bytes of alignment are not supported");

    explicit Value(detail::SharedBlock block) : block_(std::move(block)), cell_(find(block_)) {}

    static detail::CellMemory* find(const detail::SharedBlock& block) {
        return reinterpret_cast<detail::CellMemory*>(block.data());
    }
    std::byte* copy(std::uint64_t which) const {
        return block_.data() + detail::cell_copies_at + (which & 1) * copies_size;
    }

    static T plus(T a, T b) {
        if constexpr (std::is_integral_v<T>) {
            using Unsigned = std::make_unsigned_t<T>;
            return static_cast<T>(static_cast<Unsigned>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b)));
        } else {
            return static_cast<T>(a + b);
        }
    }
    static T negated(T a) {
        using Unsigned = std::make_unsigned_t<T>;
        return static_cast<T>(static_cast<Unsigned>(0U - static_cast<Unsigned>(a)));
    }

    template <class Change>
    std::pair<T, T> update_from(Change&& change) {
        if constexpr (detail::two_copies<T>) {
            auto guard = lock();
            std::pair<T, T> result(*guard, change(std::as_const(*guard)));
            *guard = result.second;
            return result;
        } else {
            std::uint64_t after = 0;
            const std::uint64_t before =
                detail::change_cell<T>(*cell_, [&](std::uint64_t current, std::uint64_t& bits) {
                    const T old = detail::from_bits<T>(current);
                    after = bits = detail::to_bits<T>(change(old));
                    return true;
                });
            return {detail::from_bits<T>(before), detail::from_bits<T>(after)};
        }
    }

    detail::SharedBlock block_;
    detail::CellMemory* cell_;
};

/// `n` elements in shared memory, aligned to 64 bytes, zeroed at first. Copies of an Array are the same memory: passing
/// one to another process copies nothing. Elements are plain memory: concurrent access to one element is the user's
/// to order, by lock(), by splitting the work, or by std::atomic_ref.
template <class T>
class Array {
    static_assert(detail::bytewise_shared<T>,
                  "mp::Array<T>: T must be trivially copyable and no pointer, because its bytes are all that another "
                  "process sees; use mp::Queue or mp::Manager for other types");
    static_assert(alignof(T) <= 64, "mp::Array<T>: more than 64 bytes of alignment are not supported");

  public:
    using value_type = T;
    using size_type = std::size_t;
    using reference = T&;
    using iterator = T*;

    /// Zeroed. Throws SystemError (ENOMEM) when that much memory is not available now - rather than let the system
    /// kill somebody later.
    explicit Array(std::size_t size) : block_(detail::create_array(sizeof(T), size)) {}

    /// With these elements.
    Array(std::initializer_list<T> elements) : Array(std::span<const T>(elements.begin(), elements.size())) {}

    /// A copy of the elements of a range.
    template <std::ranges::forward_range Range>
        requires(std::convertible_to<std::ranges::range_reference_t<Range>, T> &&
                 !std::same_as<std::remove_cvref_t<Range>, Array>)
    explicit Array(Range&& range) : Array(static_cast<std::size_t>(std::ranges::distance(range))) {
        std::size_t i = 0;
        for (auto&& element : range) data()[i++] = static_cast<T>(element);
    }

    Array(const Array&) = default;
    Array(Array&&) noexcept = default;
    /// Which of the two is meant - the memory or its contents - would be a guess: `std::ranges::copy(b, a.begin())`.
    Array& operator=(const Array&) = delete;
    Array& operator=(Array&&) noexcept = default;

    /// Elements.
    std::size_t size() const noexcept { return memory()->count; }
    /// Whether it has no elements.
    bool empty() const noexcept { return size() == 0; }
    /// The shared memory itself.
    T* data() const noexcept { return reinterpret_cast<T*>(block_.data() + sizeof(detail::ArrayMemory)); }
    /// The elements, valid while this Array or a copy of it lives in this process.
    std::span<T> span() const noexcept { return {data(), size()}; }
    T& operator[](std::size_t index) const noexcept { return data()[index]; }
    T* begin() const noexcept { return data(); }
    T* end() const noexcept { return data() + size(); }

    /// Excludes everybody else who takes this lock; elements stay accessible without it. Released by the thread that
    /// took it.
    class Guard {
      public:
        explicit Guard(const Array& array)
            : array_(array), recovered_(detail::lock_memory(array.memory()->lock, "an Array")), held_(true) {}
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
        ~Guard() { unlock(); }

        /// Whether the owner before us died while holding it: elements may be half-updated.
        bool recovered() const noexcept { return recovered_; }
        T& operator[](std::size_t index) const noexcept { return array_[index]; }
        std::span<T> span() const noexcept { return array_.span(); }
        std::span<T> operator*() const noexcept { return array_.span(); }
        void unlock() noexcept {
            if (std::exchange(held_, false)) detail::unlock_memory(array_.memory()->lock);
        }

      private:
        Array array_;  // the guard may outlive the Array it was taken from
        bool recovered_;
        bool held_;
    };

    [[nodiscard]] Guard lock() const { return Guard(*this); }

    /// Whether both are the same memory.
    bool is_same(const Array& other) const noexcept { return block_ == other.block_; }

    /// \cond internal
    static Array internal_attach(const serial::Handle& handle) {
        return Array(detail::attach_array(handle, sizeof(T)), 0);
    }
    const detail::SharedBlock& internal_block() const noexcept { return block_; }
    /// \endcond

  private:
    Array(detail::SharedBlock block, int) : block_(std::move(block)) {}
    detail::ArrayMemory* memory() const noexcept { return reinterpret_cast<detail::ArrayMemory*>(block_.data()); }

    detail::SharedBlock block_;
};

template <std::ranges::forward_range Range>
Array(Range&&) -> Array<std::ranges::range_value_t<Range>>;

/// \cond internal
template <class T>
struct serial::codec<Value<T>> {
    static void encode(Writer& writer, const Value<T>& value) { writer.attach(value.internal_block().handle()); }
    static Value<T> decode(Reader& reader) { return Value<T>::internal_attach(reader.take_handle()); }
};

template <class T>
struct serial::codec<Array<T>> {
    static void encode(Writer& writer, const Array<T>& array) { writer.attach(array.internal_block().handle()); }
    static Array<T> decode(Reader& reader) { return Array<T>::internal_attach(reader.take_handle()); }
};
/// \endcond

}  // namespace mp
