/// \file
/// Queues from any number of processes and threads to any number of others.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/detail/serial_run.hpp>
#include <multiprocessing/detail/shared_block.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

namespace detail {

struct QueueCore;

/// Items taken off a queue, still packed.
class MP_EXPORT TakenItems {
  public:
    /// A long run that is taken alone goes to `place` instead, and its bytes are not here.
    explicit TakenItems(serial::detail::RunPlace* place = nullptr) noexcept : place_(place) {}
    TakenItems(const TakenItems&) = delete;
    TakenItems& operator=(const TakenItems&) = delete;

    std::size_t size() const noexcept { return count_; }
    bool placed() const noexcept { return placed_; }
    std::span<const std::byte> bytes(std::size_t i) const noexcept {
        const Item& item = i == 0 ? first_ : more_[i - 1];
        return {memory() + item.offset, item.size};
    }
    std::span<const serial::Handle> handles(std::size_t i) const noexcept {
        const Item& item = i == 0 ? first_ : more_[i - 1];
        return std::span(handles_).subspan(item.first_handle, item.handle_count);
    }

  private:
    friend struct QueueCore;
    struct Item {
        std::size_t offset = 0, size = 0, first_handle = 0, handle_count = 0;
    };
    const std::byte* memory() const noexcept { return heap_ ? heap_.get() : scratch_; }

    std::size_t count_ = 0, used_ = 0, heap_size_ = 0;
    Item first_;
    serial::detail::RunPlace* place_;
    bool placed_ = false;
    std::vector<Item> more_;
    std::vector<serial::Handle> handles_;
    std::unique_ptr<std::byte[]> heap_;
    alignas(16) std::byte scratch_[1024];  // left uninitialised
};

struct PackedItem {
    std::span<const std::byte> bytes;
    std::span<const serial::Handle> handles = {};
    std::span<const std::byte> rest = {};  // of a run, behind its 8 bytes
};

enum class QueueOutcome { done, timed_out, closed };

/// What all queues are, whatever the type of their items.
class MP_EXPORT BasicQueue {
  public:
    /// Whether nothing is inside; exact at the instant it was looked at.
    bool empty() const { return qsize() == 0; }
    /// How many items are inside; exact at one instant during the call.
    std::size_t qsize() const;
    /// Whether put would wait.
    bool full() const;
    /// The most items it holds; 0: no limit.
    std::size_t maxsize() const;
    /// No more puts, by anybody: they throw Closed. What is inside can still be taken. Does nothing the second time.
    void close();
    bool closed() const;
    /// How many items were lost because a process was killed in the middle of putting or taking them.
    std::size_t dropped() const;

    /// Whether both are the same queue.
    bool is_same(const BasicQueue& other) const noexcept;

    /// \cond internal
    void internal_encode(serial::Writer& writer) const;
    /// A descriptor that is readable while something is inside or the queue is closed (perhaps too early: settle then).
    int internal_bell() const;
    bool internal_ready() const;
    void internal_settle() const;
    /// \endcond

  protected:
    explicit BasicQueue(std::size_t maxsize);
    explicit BasicQueue(serial::Reader& reader);

    QueueOutcome put_packed(const PackedItem& item, WaitLimit limit) const;
    /// Puts all; less than all only when the time ran out or the queue was closed.
    std::size_t put_packed(std::span<const PackedItem> items, WaitLimit limit) const;
    /// Puts `count` items that lie one behind the other and are their bytes. As put_packed.
    std::size_t put_equal(const void* items, std::size_t size, std::size_t count, WaitLimit limit, bool& closed) const;
    QueueOutcome take_packed(TakenItems& taken, std::size_t most, WaitLimit limit) const;
    /// Copies the next items out, up to `most`, as far as they are there and have this size and no handles; 0:
    /// take_packed has to see. `patient`: may wait some microseconds for more of them to come.
    std::size_t take_equal(void* to, std::size_t size, std::size_t most, bool patient) const;
    void one_done() const;
    bool wait_all_done(WaitLimit limit) const;
    [[noreturn]] static void throw_closed(bool putting);

    std::shared_ptr<QueueCore> core_;
};

}  // namespace detail

/// First in, first out, between any number of processes and threads. Copies are the same queue; it can be an argument,
/// a member of a message, an item of another queue.
///
/// put is finished when it returns: what was put is inside for everybody, `empty` and `qsize` never lag behind, and the
/// process may end. Items of one thread keep their order. With a `maxsize`, put waits while as many are inside; without,
/// the queue grows in memory and gives it back when it is emptied (SystemError when the system has none left).
///
/// A process that is killed blocks nobody. A half-put item does not exist; an item that a killed process was just taking
/// may be lost with it; all others are untouched. Items that carry handles (another queue, a Connection …) need room in
/// a socket: about 250 such items can be inside, then put waits.
template <class T>
class Queue : public detail::BasicQueue {
  public:
    using value_type = T;

    /// Throws SystemError when there is no memory or descriptor left.
    explicit Queue(std::size_t maxsize = 0) : BasicQueue(maxsize) { serial::check_serializable<T>(); }

    /// Puts an item; waits while the queue is full. Throws Closed, and SerializationError when the item cannot be
    /// packed: then nothing was put.
    void put(const T& item) const { (void)put_within(item, detail::forever); }
    /// False when it stayed full.
    template <class Rep, class Period>
    [[nodiscard]] bool put_for(const T& item, std::chrono::duration<Rep, Period> limit) const {
        return put_within(item, detail::wait_limit(limit));
    }
    /// False when it is full.
    [[nodiscard]] bool try_put(const T& item) const { return put_within(item, detail::not_at_all); }

    /// The next item; waits for one. Throws Closed when the queue is closed and empty, SerializationError when the
    /// item is no T (it is gone all the same).
    T get() const {
        if constexpr (small) {
            std::byte bytes[sizeof(T)];
            if (this->take_equal(bytes, sizeof bytes, 1, true) != 0) [[likely]] return unpack_bytes(bytes);
        }
        std::optional<T> item;
        if (take_one(item, detail::forever) == detail::QueueOutcome::closed) throw_closed(false);
        return std::move(*item);
    }
    /// The next item, or nothing when none came in time.
    template <class Rep, class Period>
    std::optional<T> get_for(std::chrono::duration<Rep, Period> limit) const {
        return get_within(detail::wait_limit(limit));
    }
    /// The next item if there is one.
    std::optional<T> try_get() const { return get_within(detail::not_at_all); }

    /// Puts all items of a range, several at a time: quicker than one by one. Others' items may come in between.
    template <std::ranges::input_range Range>
    void put_range(Range&& items) const {
        if constexpr (small && std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
                      std::is_same_v<std::ranges::range_value_t<Range>, T>) {
            bool closed = false;
            const std::size_t count = std::ranges::size(items);
            if (count == 0) return;
            if (this->put_equal(std::ranges::data(items), sizeof(T), count, detail::forever, closed) != count) {
                throw_closed(true);
            }
            return;
        }
        auto next = std::ranges::begin(items);
        const auto end = std::ranges::end(items);
        while (next != end) {
            serial::Writer writer;
            std::vector<std::pair<std::size_t, std::size_t>> ends;  // of bytes and handles
            for (; next != end && ends.size() < 1024 && writer.bytes().size() < (256 << 10); ++next) {
                serial::encode<T>(writer, *next);
                ends.emplace_back(writer.bytes().size(), writer.handles().size());
            }
            std::vector<detail::PackedItem> packed;
            packed.reserve(ends.size());
            std::pair<std::size_t, std::size_t> last(0, 0);
            for (const auto& here : ends) {
                packed.push_back({.bytes = writer.bytes().subspan(last.first, here.first - last.first),
                                  .handles = writer.handles().subspan(last.second, here.second - last.second)});
                last = here;
            }
            if (put_packed(packed, detail::forever) != packed.size()) throw_closed(true);
        }
    }

    /// Waits for at least one item and takes up to `most` that are inside: quicker than one by one. A process that is
    /// killed in between loses them all. Throws Closed when the queue is closed and empty.
    std::vector<T> get_some(std::size_t most) const {
        std::vector<T> items;
        if (most == 0) return items;
        if constexpr (small) {
            if (const std::size_t inside = std::min(most, this->qsize()); inside != 0) {
                const auto bytes = std::make_unique_for_overwrite<std::byte[]>(inside * sizeof(T));
                const std::size_t count = this->take_equal(bytes.get(), sizeof(T), inside, true);
                items.reserve(count);
                for (std::size_t i = 0; i < count; ++i) {
                    items.push_back(unpack_bytes({bytes.get() + i * sizeof(T), sizeof(T)}));
                }
                if (count != 0) return items;
            }
        }
        detail::TakenItems taken;
        if (take_packed(taken, most, detail::forever) != detail::QueueOutcome::done) throw_closed(false);
        items.reserve(taken.size());
        for (std::size_t i = 0; i < taken.size(); ++i) items.push_back(unpack(taken, i));
        return items;
    }

    /// Takes items until the queue is closed and empty: `for (T item : queue)`.
    class Iterator {
      public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        Iterator() = default;
        explicit Iterator(const Queue& queue) : queue_(&queue) { ++*this; }
        T& operator*() const { return *item_; }
        Iterator& operator++() {
            item_.reset();
            if constexpr (small) {
                std::byte bytes[sizeof(T)];
                if (queue_->take_equal(bytes, sizeof bytes, 1, true) != 0) [[likely]] {
                    item_.emplace(unpack_bytes(bytes));
                    return *this;
                }
            }
            queue_->take_one(item_, detail::forever);
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const Iterator& it, std::default_sentinel_t) { return !it.item_.has_value(); }

      private:
        const Queue* queue_ = nullptr;
        mutable std::optional<T> item_;
    };
    Iterator begin() const { return Iterator(*this); }
    std::default_sentinel_t end() const { return {}; }

    /// \cond internal
    explicit Queue(serial::Reader& reader) : BasicQueue(reader) {}
    /// \endcond

  private:
    /// Packed as its bytes, and few of them.
    static constexpr bool small = serial::bytewise<T> && sizeof(T) <= 1024;

    bool put_within(const T& item, detail::WaitLimit limit) const {
        if constexpr (small) {
            bool closed = false;
            if (this->put_equal(&item, sizeof item, 1, limit, closed) == 1) return true;
            if (closed) throw_closed(true);
            return false;
        }
        if constexpr (serial::detail::run<T>) {
            const serial::detail::RunParts parts(item);
            if (parts.is_long()) return put_one({.bytes = parts.count(), .rest = parts.elements()}, limit);
        }
        std::byte scratch[512];
        serial::Writer writer(scratch);
        serial::encode(writer, item);
        return put_one({.bytes = writer.bytes(), .handles = writer.handles()}, limit);
    }
    bool put_one(const detail::PackedItem& packed, detail::WaitLimit limit) const {
        const auto outcome = put_packed(packed, limit);
        if (outcome == detail::QueueOutcome::closed) throw_closed(true);
        return outcome == detail::QueueOutcome::done;
    }
    std::optional<T> get_within(detail::WaitLimit limit) const {
        if constexpr (small) {
            std::byte bytes[sizeof(T)];
            if (this->take_equal(bytes, sizeof bytes, 1, limit != detail::not_at_all) != 0) return unpack_bytes(bytes);
        }
        std::optional<T> item;
        if (take_one(item, limit) == detail::QueueOutcome::closed) throw_closed(false);
        return item;
    }
    detail::QueueOutcome take_one(std::optional<T>& item, detail::WaitLimit limit) const {
        if constexpr (serial::detail::run<T>) {
            serial::detail::RunInto<T> place;
            detail::TakenItems taken(&place);
            const auto outcome = take_packed(taken, 1, limit);
            if (outcome == detail::QueueOutcome::done) item.emplace(taken.placed() ? place.take() : unpack(taken, 0));
            return outcome;
        } else {
            detail::TakenItems taken;
            const auto outcome = take_packed(taken, 1, limit);
            if (outcome == detail::QueueOutcome::done) item.emplace(unpack(taken, 0));
            return outcome;
        }
    }
    static T unpack_bytes(std::span<const std::byte> bytes) {
        serial::Reader reader(bytes);
        return serial::decode<T>(reader);
    }
    static T unpack(const detail::TakenItems& taken, std::size_t i) {
        serial::Reader reader(taken.bytes(i), taken.handles(i));
        T item = serial::decode<T>(reader);
        reader.finish();
        return item;
    }
};

/// A Queue that knows which items have been worked on: who took one says task_done() when it has finished with it.
template <class T>
class JoinableQueue : public Queue<T> {
  public:
    /// As Queue.
    explicit JoinableQueue(std::size_t maxsize = 0) : Queue<T>(maxsize) {}

    /// Throws Error when it was called more often than items were put.
    void task_done() const { this->one_done(); }
    /// Waits until task_done() was called for every item that was put. An item whose taker was killed is never done.
    void join() const { (void)this->wait_all_done(detail::forever); }
    /// False when the time ran out.
    template <class Rep, class Period>
    [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> limit) const {
        return this->wait_all_done(detail::wait_limit(limit));
    }

    /// \cond internal
    explicit JoinableQueue(serial::Reader& reader) : Queue<T>(reader) {}
    /// \endcond
};

/// The least a queue can be, as Python has it: put, get, empty, close. Unbounded.
template <class T>
class SimpleQueue : Queue<T> {
  public:
    SimpleQueue() = default;

    /// As Queue::put.
    void put(const T& item) const { open().put(item); }
    /// As Queue::get.
    T get() const { return open().get(); }
    /// Whether nothing is inside.
    bool empty() const { return open().empty(); }
    /// Lets go of this copy's queue: any further use of this copy throws Closed. Other copies are not touched.
    void close() noexcept { this->core_.reset(); }

    /// \cond internal
    explicit SimpleQueue(serial::Reader& reader) : Queue<T>(reader) {}
    void internal_encode(serial::Writer& writer) const { open().internal_encode(writer); }
    /// \endcond

  private:
    const Queue<T>& open() const {
        if (!this->core_) throw Closed("this SimpleQueue is closed");
        return *this;
    }
};

/// \cond internal
template <class T>
struct serial::codec<Queue<T>> {
    static void encode(Writer& writer, const Queue<T>& queue) { queue.internal_encode(writer); }
    static Queue<T> decode(Reader& reader) { return Queue<T>(reader); }
};
template <class T>
struct serial::codec<JoinableQueue<T>> {
    static void encode(Writer& writer, const JoinableQueue<T>& queue) { queue.internal_encode(writer); }
    static JoinableQueue<T> decode(Reader& reader) { return JoinableQueue<T>(reader); }
};
template <class T>
struct serial::codec<SimpleQueue<T>> {
    static void encode(Writer& writer, const SimpleQueue<T>& queue) { queue.internal_encode(writer); }
    static SimpleQueue<T> decode(Reader& reader) { return SimpleQueue<T>(reader); }
};
/// \endcond

}  // namespace mp
