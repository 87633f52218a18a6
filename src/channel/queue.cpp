#include <multiprocessing/queues.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "channel/message_memory.hpp"
#include "channel/raise.hpp"
#include "os/packet.hpp"
#include "os/retry.hpp"
#include "shm/kill_point.hpp"
#include "transport/block_queue.hpp"
#include "transport/ticket.hpp"

namespace mp::detail {

using base::Deadline;
using transport::BlockQueue;
using transport::QueueState;

namespace {

constexpr std::size_t state_offset = 128;

std::uint64_t wanted_blocks() {
    const std::uint64_t memory =
        static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return std::clamp<std::uint64_t>(std::bit_ceil(memory / transport::queue_block), 4096, transport::queue_max_blocks);
}

}  // namespace

struct QueueCore {
    QueueCore(SharedBlock memory, os::UniqueFd in, os::UniqueFd out, os::UniqueFd bell_fd)
        : block(std::move(memory)), handles_in(std::move(in)), handles_out(std::move(out)), bell(std::move(bell_fd)),
          queue(block.data(), state_offset, block.head().detail, block.fd()) {}

    QueueState& state() const { return queue.state(); }

    bool closed() const { return state().closed.load(std::memory_order_acquire) != 0; }

    void ring() {
        if (state().rung.exchange(1, std::memory_order_acq_rel) != 0) return;
        const std::uint64_t one = 1;
        (void)os::retry([&] { return ::write(bell.get(), &one, sizeof one); });
    }

    void announce(std::size_t items) {
        shm::notify(state().not_empty, items > 1 ? shm::wake_everybody : 1);
        if (state().armed.load(std::memory_order_relaxed)) [[unlikely]] ring();
    }

    enum class Step { put, full, no_descriptor_room };
    /// With the put lock held: one item, not yet published.
    Step write_one(const PackedItem& item);

    /// With the put lock held, as many of them as there is room for: how many, not yet published.
    std::size_t write_packed(std::span<const PackedItem> items, std::size_t room, Step& step);
    std::size_t write_equal(const std::byte* items, std::size_t size, std::size_t room, Step& step);

    /// Puts `count` items; fewer only when the time ran out or the queue was closed. `write(done, room, step)` writes
    /// up to `room` items from number `done` on, with the put lock held, and returns how many.
    template <class Write>
    std::size_t put(std::size_t count, WaitLimit limit, bool& was_closed, Write write);
    /// After items were taken.
    void taken(std::size_t count, bool more, bool emptied_block);
    std::size_t take_equal(std::byte* to, std::size_t size, std::size_t most, bool patient);
    QueueOutcome take(TakenItems& taken, std::size_t most, WaitLimit limit);
    void trim();
    bool collect_handles(std::uint64_t word, std::vector<serial::Handle>& to);

    SharedBlock block;
    // Descriptors that belong to items wait in this socket pair, in the order of their items. Every user has both ends.
    os::UniqueFd handles_in, handles_out;
    os::UniqueFd bell;
    BlockQueue queue;
    shm::Patience put_patience, get_patience;
    shm::Pace put_pace, take_pace;
};

QueueCore::Step QueueCore::write_one(const PackedItem& item) {
    transport::QueueRecord record{.bytes = item.bytes, .rest = item.rest};
    if (!item.handles.empty()) {
        const std::uint64_t ticket = (state().tickets + 1) & transport::ticket_mask;
        state().tickets = ticket;
        shm::kill_point();
        std::vector<int> descriptors;
        for (std::size_t done = 0; done < item.handles.size(); done += descriptors.size()) {
            descriptors.clear();
            const std::size_t count = std::min(item.handles.size() - done, os::max_descriptors_a_message);
            for (const auto& handle : item.handles.subspan(done, count)) descriptors.push_back(handle.fd());
            const auto sent = os::send_packet(handles_in.get(), ticket, descriptors, Deadline::now());
            // Packets of a ticket that no item bears are thrown away by whoever meets them.
            if (!sent && sent.error().value() == ETIMEDOUT) return Step::no_descriptor_room;
            if (!sent) channel::raise(sent.error(), "cannot put a descriptor into a Queue");
            shm::kill_point();
        }
        record.handles = transport::ticket_word(ticket, item.handles.size());
    }
    const auto written = queue.write(record);
    if (!written && written.error().value() == ENOSPC) return Step::full;
    if (!written) {
        channel::raise(written.error(), "cannot put " + channel::human_size(item.bytes.size() + item.rest.size()) + " into a Queue");
    }
    return Step::put;
}

std::size_t QueueCore::write_packed(std::span<const PackedItem> items, std::size_t room, Step& step) {
    std::size_t written = 0;
    try {
        while (written < room && (step = write_one(items[written])) == Step::put) ++written;
    } catch (...) {
        if (written != 0) queue.publish();
        throw;
    }
    return written;
}

std::size_t QueueCore::write_equal(const std::byte* items, std::size_t size, std::size_t room, Step& step) {
    const auto written = queue.write_equal(items, size, room);
    if (!written && written.error().value() == ENOSPC) {
        step = Step::full;
        return 0;
    }
    if (!written) channel::raise(written.error(), "cannot put " + channel::human_size(size) + " into a Queue");
    return *written;
}

template <class Write>
std::size_t QueueCore::put(std::size_t count, WaitLimit limit, bool& was_closed, Write write) {
    std::optional<Deadline> deadline;
    std::size_t done = 0;
    for (;;) {
        Step step = Step::put;
        std::size_t written = 0;
        std::uint64_t head_seen = 0;
        {
            shm::RobustHold hold(state().put_lock);
            shm::kill_point();
            if (hold.recovered()) [[unlikely]] queue.recover_producer();
            if (closed()) [[unlikely]] {
                was_closed = true;
                return done;
            }
            queue.rewind();
            if (const std::size_t room = queue.room_for_items(count - done); room != 0) {
                written = write(done, room, step);
            }
            if (written != 0) queue.publish();
            else queue.rewind();
            // The head that said there is no room.
            head_seen = state().head_copy;
        }
        done += written;
        if (written != 0) announce(written);
        if (done == count) return done;
        if (!deadline) deadline = limit == forever ? Deadline::never() : Deadline::after(limit);
        if (deadline->expired()) return done;
        if (step == Step::no_descriptor_room) {
            os::wait_writable(handles_in.get(), earlier(*deadline, Deadline::after(shm::recheck_interval)));
            continue;
        }
        if (put_pace.look_away()) {
            const transport::QueueMark head{state().head.load(std::memory_order_acquire)}, seen{head_seen};
            put_pace.found((head.count() - seen.count()) & transport::QueueMark::count_mask);
            continue;
        }
        const bool ready = shm::wait_until(
            state().not_full,
            [&] { return state().head.load(std::memory_order_acquire) != head_seen || closed(); }, *deadline,
            put_patience);
        if (!ready) return done;
    }
}

void QueueCore::taken(std::size_t count, bool more, bool emptied_block) {
    if (emptied_block) trim();
    if (more) shm::notify(state().not_empty, 1);
    shm::notify(state().not_full, count > 1 ? shm::wake_everybody : 1);
}

std::size_t QueueCore::take_equal(std::byte* to, std::size_t size, std::size_t most, bool patient) {
    for (;;) {
        bool more = false, emptied_block = false;
        std::size_t count;
        {
            shm::RobustHold hold(state().get_lock);
            shm::kill_point();
            count = queue.take_equal(to, size, most, emptied_block);
            more = count != 0 && shm::has_sleeper(state().not_empty) && !queue.empty();
        }
        if (count != 0) {
            taken(count, more, emptied_block);
            return count;
        }
        if (!patient || !take_pace.look_away()) return 0;
        take_pace.found(queue.size());
    }
}

void QueueCore::trim() {
    // A producer that is at work sees to it itself.
    const auto locked = state().put_lock.try_lock();
    if (!locked || *locked == shm::Acquired::timed_out) return;
    if (*locked == shm::Acquired::recovered) queue.recover_producer();
    queue.trim();
    (void)state().put_lock.unlock();
}

bool QueueCore::collect_handles(std::uint64_t word, std::vector<serial::Handle>& to) {
    const std::uint64_t ticket = transport::ticket_of(word);
    const std::uint64_t count = transport::descriptors_of(word);
    std::size_t got = 0;
    while (got < count) {
        auto packet = os::receive_packet(handles_out.get());
        if (!packet && packet.error().value() == EMFILE) {
            channel::raise(packet.error(), "cannot take a descriptor out of a Queue");
        }
        if (!packet) return false;
        if (packet->word != ticket) continue;  // of an item whose producer or consumer was killed
        for (auto& descriptor : packet->descriptors) to.emplace_back(descriptor.release());
        got += packet->descriptors.size();
    }
    return true;
}

QueueOutcome QueueCore::take(TakenItems& taken, std::size_t most, WaitLimit limit) {
    struct Sink final : transport::QueueSink {
        explicit Sink(TakenItems& items) : to(items) {}
        std::byte* room(std::size_t size, bool handles, const std::byte* first, std::size_t& skipped) override {
            if (!handles && size > serial::detail::least_direct) {
                if (std::byte* const placed = channel::place_run(to.place_, {first, channel::run_count}, size)) {
                    skipped = channel::run_count;
                    to.placed_ = true;
                    last = 0;
                    return placed;
                }
            }
            const std::size_t aligned = (size + 7) & ~std::size_t{7};
            const std::size_t capacity = to.heap_ ? to.heap_size_ : sizeof to.scratch_;
            if (aligned > capacity - to.used_) {
                const std::size_t next = std::max(2 * capacity, to.used_ + aligned);
                auto larger = channel::message_memory(next);
                std::memcpy(larger.get(), to.memory(), to.used_);
                to.heap_ = std::move(larger);
                to.heap_size_ = next;
            }
            last = to.used_;
            to.used_ += aligned;
            return (to.heap_ ? to.heap_.get() : to.scratch_) + last;
        }
        void received(std::size_t offset, std::size_t size, std::uint64_t word) override {
            if (word != 0) words.emplace_back(to.count_, word);
            const TakenItems::Item item{last + offset, size, 0, 0};
            if (to.count_ == 0) to.first_ = item;
            else to.more_.push_back(item);
            ++to.count_;
        }
        TakenItems& to;
        std::size_t last = 0;
        std::vector<std::pair<std::size_t, std::uint64_t>> words;  // items with descriptors
    };
    std::optional<Deadline> deadline;
    for (;;) {
        Sink sink(taken);
        bool more = false, emptied_block = false;
        {
            shm::RobustHold hold(state().get_lock);
            shm::kill_point();
            const auto took = queue.take(sink, most, emptied_block);
            if (!took) throw SerializationError("the memory of a Queue has been damaged");
            const std::size_t count = *took;
            if (!sink.words.empty()) {
                std::size_t lost = 0;
                for (const auto& [index, word] : sink.words) {
                    TakenItems::Item& item = index - lost == 0 ? taken.first_ : taken.more_[index - lost - 1];
                    item.first_handle = taken.handles_.size();
                    if (collect_handles(word, taken.handles_)) {
                        item.handle_count = taken.handles_.size() - item.first_handle;
                        continue;
                    }
                    // The socket has lost them.
                    state().dropped.fetch_add(1, std::memory_order_relaxed);
                    if (index - lost == 0) {
                        if (!taken.more_.empty()) {
                            taken.first_ = taken.more_.front();
                            taken.more_.erase(taken.more_.begin());
                        }
                    } else {
                        taken.more_.erase(taken.more_.begin() + static_cast<std::ptrdiff_t>(index - lost - 1));
                    }
                    --taken.count_;
                    ++lost;
                }
            }
            more = count != 0 && shm::has_sleeper(state().not_empty) && !queue.empty();
        }
        this->taken(taken.size(), more, emptied_block);
        if (taken.size() != 0) return QueueOutcome::done;
        if (!queue.empty()) continue;
        if (closed() && queue.empty()) return QueueOutcome::closed;
        if (limit == not_at_all) return QueueOutcome::timed_out;
        if (!deadline) deadline = Deadline::after(limit);
        const bool ready = shm::wait_until(
            state().not_empty, [&] { return !queue.empty() || closed(); }, *deadline, get_patience);
        if (!ready) return QueueOutcome::timed_out;
    }
}

BasicQueue::BasicQueue(std::size_t maxsize) {
    if (maxsize > transport::queue_max_items) {
        channel::raise(base::error_of(EINVAL), "cannot make a Queue of " + std::to_string(maxsize) + " items");
    }
    const char* const what = "a Queue";
    SharedBlock block;
    std::uint64_t blocks = wanted_blocks();
    // The memory is taken as the queue grows; the addresses are taken now, as many as limits allow.
    for (;; blocks /= 2) {
        block = SharedBlock::create_sparse(BlockKind::queue, blocks, BlockQueue::memory_for(state_offset, blocks), what);
        if (block) break;
        const auto reason = base::last_error();
        if (blocks <= 256 || (reason.value() != ENOMEM && reason.value() != EFBIG)) {
            channel::raise(reason, "cannot make a Queue");
        }
    }
    auto& state = *reinterpret_cast<QueueState*>(block.data() + state_offset);
    if (const auto done = BlockQueue::initialise(state, maxsize, blocks); !done) {
        channel::raise(done.error(), "cannot make a Queue");
    }
    auto sockets = os::socket_pair();
    if (!sockets) channel::raise(sockets.error(), "cannot make a Queue");
    os::UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell) channel::raise(base::last_error(), "cannot make a Queue");
    core_ = std::make_shared<QueueCore>(std::move(block), std::move(sockets->first), std::move(sockets->second),
                                        std::move(bell));
}

BasicQueue::BasicQueue(serial::Reader& reader) {
    auto block = SharedBlock::attach(reader.take_handle(), BlockKind::queue, state_offset + sizeof(QueueState), "a Queue");
    const std::uint64_t blocks = block.head().detail;
    if (!std::has_single_bit(blocks) || blocks > transport::queue_max_blocks || block.size() != BlockQueue::memory_for(state_offset, blocks)) {
        throw SerializationError("the memory that arrived is not that of a Queue");
    }
    os::UniqueFd others[3];
    for (auto& other : others) {
        other = os::UniqueFd::duplicate(reader.take_handle().fd());
        if (!other) channel::raise(base::last_error(), "cannot take over a Queue");
    }
    core_ = std::make_shared<QueueCore>(std::move(block), std::move(others[0]), std::move(others[1]),
                                        std::move(others[2]));
}

void BasicQueue::internal_encode(serial::Writer& writer) const {
    writer.attach(core_->block.handle());
    writer.attach(serial::Handle::duplicate(core_->handles_in.get()));
    writer.attach(serial::Handle::duplicate(core_->handles_out.get()));
    writer.attach(serial::Handle::duplicate(core_->bell.get()));
}

std::size_t BasicQueue::qsize() const { return core_->queue.size(); }
std::size_t BasicQueue::maxsize() const { return core_->state().max_items; }
bool BasicQueue::full() const { return maxsize() != 0 && qsize() >= maxsize(); }
bool BasicQueue::closed() const { return core_->closed(); }
std::size_t BasicQueue::dropped() const { return core_->state().dropped.load(std::memory_order_relaxed); }
bool BasicQueue::is_same(const BasicQueue& other) const noexcept { return core_->block == other.core_->block; }

void BasicQueue::close() {
    {
        shm::RobustHold hold(core_->state().put_lock);
        if (hold.recovered()) core_->queue.recover_producer();
        core_->state().closed.store(1, std::memory_order_release);
    }
    shm::notify(core_->state().not_empty);
    shm::notify(core_->state().not_full);
    core_->ring();
}

QueueOutcome BasicQueue::put_packed(const PackedItem& item, WaitLimit limit) const {
    bool was_closed = false;
    const std::size_t put = core_->put(1, limit, was_closed, [&](std::size_t, std::size_t, QueueCore::Step& step) {
        return core_->write_packed({&item, 1}, 1, step);
    });
    if (put == 1) return QueueOutcome::done;
    return was_closed ? QueueOutcome::closed : QueueOutcome::timed_out;
}

std::size_t BasicQueue::put_packed(std::span<const PackedItem> items, WaitLimit limit) const {
    bool was_closed = false;
    return core_->put(items.size(), limit, was_closed,
                      [&](std::size_t done, std::size_t room, QueueCore::Step& step) {
                          return core_->write_packed(items.subspan(done), room, step);
                      });
}

std::size_t BasicQueue::put_equal(const void* items, std::size_t size, std::size_t count, WaitLimit limit,
                                  bool& closed) const {
    const auto* const first = static_cast<const std::byte*>(items);
    return core_->put(count, limit, closed, [&](std::size_t done, std::size_t room, QueueCore::Step& step) {
        return core_->write_equal(first + done * size, size, room, step);
    });
}

std::size_t BasicQueue::take_equal(void* to, std::size_t size, std::size_t most, bool patient) const {
    return core_->take_equal(static_cast<std::byte*>(to), size, most, patient);
}

QueueOutcome BasicQueue::take_packed(TakenItems& taken, std::size_t most, WaitLimit limit) const {
    return core_->take(taken, most, limit);
}

void BasicQueue::throw_closed(bool putting) {
    throw Closed(putting ? "cannot put into a Queue that is closed" : "the Queue is closed and empty");
}

void BasicQueue::one_done() const {
    auto& state = core_->state();
    std::uint64_t done = state.done.load(std::memory_order_relaxed);
    std::uint64_t put;
    do {
        put = transport::QueueMark{state.tail.load(std::memory_order_acquire)}.count();
        if (done == put) throw Error("task_done() called more often than items were put into the JoinableQueue");
    } while (!state.done.compare_exchange_weak(done, (done + 1) & transport::QueueMark::count_mask,
                                               std::memory_order_acq_rel, std::memory_order_relaxed));
    if (((done + 1) & transport::QueueMark::count_mask) == put) shm::notify(state.all_done);
}

bool BasicQueue::wait_all_done(WaitLimit limit) const {
    auto& state = core_->state();
    return shm::wait_until(
        state.all_done,
        [&] {
            const std::uint64_t done = state.done.load(std::memory_order_acquire);
            return transport::QueueMark{state.tail.load(std::memory_order_acquire)}.count() == done;
        },
        Deadline::after(limit));
}

int BasicQueue::internal_bell() const {
    core_->state().armed.store(1, std::memory_order_relaxed);
    shm::order_sleep();
    if (internal_ready()) core_->ring();
    return core_->bell.get();
}

bool BasicQueue::internal_ready() const { return !core_->queue.empty() || core_->closed(); }

void BasicQueue::internal_settle() const {
    if (internal_ready()) return;
    std::uint64_t count;
    (void)os::retry([&] { return ::read(core_->bell.get(), &count, sizeof count); });
    core_->state().rung.store(0, std::memory_order_release);
    shm::order_sleep();
    if (internal_ready()) core_->ring();
}

}  // namespace mp::detail
