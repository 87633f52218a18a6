#include "transport/block_queue.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "os/mapping.hpp"
#include "shm/kill_point.hpp"
#include "shm/segment.hpp"
#include "transport/copy_short.hpp"
#include "transport/take_lines.hpp"

namespace mp::transport {

namespace {

constexpr std::uint64_t block_units = queue_block / 8;
constexpr std::uint64_t logical_mask = 2 * queue_max_blocks - 1;
constexpr std::uint64_t least_warm = 32, most_warm = 256;  // emptied blocks that keep their pages: 8 and 64 MiB
constexpr std::uint64_t growth_check = (64 << 20) / queue_block;  // new blocks between two looks at the system's memory
constexpr std::size_t split_size = queue_block / 4;       // longer records are split at the ends of blocks
constexpr std::size_t longest_piece = 16 << 10;  // copied out before its lines are taken: they are near still

// Header of a record: size in the lower half, these above.
constexpr std::uint64_t record_skip = 1ULL << 63;     // nothing more in this block
constexpr std::uint64_t record_handles = 1ULL << 62;  // 8 bytes that tell of descriptors come first
constexpr std::uint64_t record_size_mask = (1ULL << 48) - 1;

constexpr std::size_t page = 4096;
constexpr std::size_t table_bytes = 2 * queue_max_blocks * sizeof(std::uint32_t);
constexpr std::size_t idle_bytes = queue_max_blocks / 8;

std::size_t table_offset(std::size_t offset) { return (offset + sizeof(QueueState) + page - 1) / page * page; }

std::uint64_t reclaimed(std::uint64_t books) { return books >> 32; }
std::uint64_t allocated(std::uint64_t books) { return books & 0xffffffff; }
std::uint64_t books_of(std::uint64_t first, std::uint64_t second) { return first << 32 | (second & 0xffffffff); }

/// Logical blocks from `from` to `to`, both modulo their number.
std::uint64_t distance(std::uint64_t from, std::uint64_t to) { return (to - from) & logical_mask; }

}  // namespace

std::uint64_t BlockQueue::memory_for(std::size_t offset, std::size_t max_blocks) {
    return table_offset(offset) + table_bytes + idle_bytes + max_blocks * queue_block;
}

base::Expected<void> BlockQueue::initialise(QueueState& state, std::uint64_t max_items, std::uint64_t max_blocks) {
    state.max_items = max_items;
    state.max_blocks = max_blocks;
    if (const auto done = state.put_lock.initialise(); !done) return done;
    return state.get_lock.initialise();
}

BlockQueue::BlockQueue(std::byte* memory, std::size_t offset, std::uint64_t max_blocks, int file)
    : state_(reinterpret_cast<QueueState*>(memory + offset)),
      table_(reinterpret_cast<std::uint32_t*>(memory + table_offset(offset))),
      idle_(reinterpret_cast<std::uint64_t*>(memory + table_offset(offset) + table_bytes)),
      data_(memory + table_offset(offset) + table_bytes + idle_bytes),
      data_offset_(table_offset(offset) + table_bytes + idle_bytes), max_blocks_(max_blocks), file_(file) {}

std::byte* BlockQueue::at(std::uint64_t position) const {
    return data_ + std::size_t(checked_block(*block_of(position / block_units))) * queue_block + (position % block_units) * 8;
}

void BlockQueue::discard(std::uint32_t block) {
    os::discard_pages(file_, data_offset_ + std::uint64_t(block) * queue_block, queue_block);
}

/// Takes the block that was emptied longest ago out of circulation.
void BlockQueue::retire_oldest() {
    const std::uint64_t books = state_->books;
    const std::uint32_t block = checked_block(*block_of(reclaimed(books)));
    discard(block);
    shm::kill_point();
    // A kill between the next two leaves the block in nobody's books, without pages; recover_producer() finds it.
    state_->books = books_of(reclaimed(books) + 1, allocated(books));
    shm::kill_point();
    idle_[block / 64] |= 1ULL << (block % 64);
    ++state_->idle;
}

base::Expected<void> BlockQueue::add_block() {
    trim();
    const QueueMark head{state_->head.load(std::memory_order_acquire)};
    state_->head_copy = head.word;
    const std::uint64_t books = state_->books;
    std::uint32_t* const entry = block_of(allocated(books));
    if (distance(reclaimed(books), head.position() / block_units) > 0) {
        *entry = *block_of(reclaimed(books));
        shm::kill_point();
        state_->books = books_of(reclaimed(books) + 1, allocated(books) + 1);
        return {};
    }
    if (state_->idle > 0) {
        for (std::uint64_t i = 0; i < (fresh() + 63) / 64; ++i) {
            if (idle_[i] == 0) continue;
            const auto block = static_cast<std::uint32_t>(i * 64 + static_cast<unsigned>(std::countr_zero(idle_[i])));
            idle_[i] &= idle_[i] - 1;
            --state_->idle;
            shm::kill_point();
            *entry = block;
            state_->books = books_of(reclaimed(books), allocated(books) + 1);
            return {};
        }
        state_->idle = 0;
    }
    if (state_->fresh >= max_blocks_) return base::error_of(ENOSPC);
    if (state_->fresh % growth_check == growth_check - 1) {
        if (const auto room = shm::check_room(growth_check * queue_block); !room) return room;
    }
    *entry = static_cast<std::uint32_t>(state_->fresh++);
    shm::kill_point();
    state_->books = books_of(reclaimed(books), allocated(books) + 1);
    return {};
}

/// Makes sure that all blocks before position `end` are there.
base::Expected<void> BlockQueue::reserve_blocks(std::uint64_t end) {
    const std::uint64_t needed = (end + block_units - 1) / block_units;  // first block behind
    // Positions wrap, blocks with them; never more than half of all logical blocks are in use.
    while (true) {
        const std::uint64_t ahead = distance(allocated(state_->books), needed);
        if (ahead == 0 || ahead > queue_max_blocks) return {};
        if (const auto added = add_block(); !added) return added;
        shm::kill_point();
    }
}

std::size_t BlockQueue::room_for_items(std::size_t wanted) {
    const QueueMark tail{state_->tail.load(std::memory_order_relaxed)};
    const std::uint64_t most = state_->max_items != 0 ? state_->max_items : queue_max_items;
    std::uint64_t inside = (tail.count() - QueueMark{state_->head_copy}.count()) & QueueMark::count_mask;
    if (inside > queue_max_items || inside + wanted > most) {
        state_->head_copy = state_->head.load(std::memory_order_acquire);
        inside = (tail.count() - QueueMark{state_->head_copy}.count()) & QueueMark::count_mask;
    }
    return std::min(wanted, inside < most ? most - inside : 0);
}

base::Expected<void> BlockQueue::write(const QueueRecord& record) {
    const std::size_t prefix = record.handles != 0 ? 8 : 0;
    const std::size_t size = prefix + record.bytes.size() + record.rest.size();
    const std::uint64_t units = 1 + (size + 7) / 8;
    std::uint64_t position = written_.position();
    const std::uint64_t before_end = block_units - position % block_units;
    const bool split = size > split_size;
    const std::uint64_t skipped = !split && units > before_end ? before_end : 0;
    const QueueMark end = written_.advanced(skipped + units, 1);
    state_->intent = end.count();
    // Twice such a record: one that is written while one is read.
    state_->warm = split ? 2 * (size / queue_block + 1) : 0;
    if (const auto reserved = reserve_blocks(position + skipped + units); !reserved) return reserved;
    shm::kill_point();
    if (skipped != 0) {
        std::memcpy(at(position), &record_skip, 8);
        position = (position + skipped) & QueueMark::position_mask;
    }
    const std::uint64_t header = size | (prefix != 0 ? record_handles : 0);
    std::byte* to = at(position);
    std::memcpy(to, &header, 8);
    to += 8;
    if (!split) {
        if (prefix != 0) std::memcpy(to, &record.handles, 8);
        to += prefix;
        if (!record.bytes.empty()) std::memcpy(to, record.bytes.data(), record.bytes.size());
        if (!record.rest.empty()) std::memcpy(to + record.bytes.size(), record.rest.data(), record.rest.size());
    } else {
        // The prefix may be alone in its block; all parts go unit by unit through the blocks.
        ++position;
        const auto copy = [&](const std::byte* from, std::size_t left) {
            while (left != 0) {
                position &= QueueMark::position_mask;
                const std::size_t piece = std::min(left, (block_units - position % block_units) * 8);
                std::memcpy(at(position), from, piece);
                shm::kill_point();
                from += piece;
                left -= piece;
                position += (piece + 7) / 8;
            }
        };
        if (prefix != 0) copy(reinterpret_cast<const std::byte*>(&record.handles), 8);
        copy(record.bytes.data(), record.bytes.size());
        copy(record.rest.data(), record.rest.size());
    }
    shm::kill_point();
    written_ = end;
    return {};
}

base::Expected<std::size_t> BlockQueue::write_equal(const std::byte* records, std::size_t size, std::size_t count) {
    const std::uint64_t units = 1 + (size + 7) / 8;
    std::size_t done = 0;
    while (done < count) {
        const std::uint64_t position = written_.position();
        const std::uint64_t before_end = block_units - position % block_units;
        const std::size_t here = std::min<std::size_t>(count - done, before_end / units);
        if (here == 0 || size > split_size) {
            const auto written = write({.bytes = {records + done * size, size}});
            if (!written && done == 0) return written.error();
            if (!written) break;
            ++done;
            continue;
        }
        const QueueMark end = written_.advanced(here * units, here);
        state_->intent = end.count();
        state_->warm = 0;
        if (const auto reserved = reserve_blocks(position + here * units); !reserved) {
            if (done == 0) return reserved.error();
            break;
        }
        shm::kill_point();
        std::byte* to = at(position);
        for (std::size_t i = 0; i < here; ++i, to += units * 8) {
            const std::uint64_t header = size;
            std::memcpy(to, &header, 8);
            copy_short(to + 8, records + (done + i) * size, size);
        }
        shm::kill_point();
        written_ = end;
        done += here;
    }
    state_->intent = written_.count();
    return done;
}

void BlockQueue::publish() {
    state_->tail.store(written_.word, std::memory_order_release);
    shm::kill_point();
}

/// With the get lock held: how many records there are at least, none only when there are none.
std::size_t BlockQueue::inside(QueueMark head) {
    const auto count = [&] { return (QueueMark{state_->tail_copy}.count() - head.count()) & QueueMark::count_mask; };
    // More than there can be: its consumer died between the head and the copy.
    if (count() == 0 || count() > queue_max_items) state_->tail_copy = state_->tail.load(std::memory_order_acquire);
    return count();
}

std::size_t BlockQueue::take_equal(std::byte* to, std::size_t size, std::size_t most, bool& emptied_block) {
    QueueMark head{state_->head.load(std::memory_order_relaxed)};
    const std::size_t count = std::min(inside(head), most);
    const std::uint64_t first_block = head.position() / block_units;
    const std::uint64_t units = 1 + (size + 7) / 8;
    std::size_t done = 0;
    while (done < count) {
        std::uint64_t position = head.position();
        std::uint64_t before_end = block_units - position % block_units;
        std::byte* begin = at(position);
        std::uint64_t header;
        std::memcpy(&header, begin, 8);
        std::uint64_t skipped = 0;
        if (header & record_skip) {
            skipped = before_end;
            position = (position + skipped) & QueueMark::position_mask;
            before_end = block_units;
            begin = at(position);
        }
        const std::byte* from = begin;
        const std::size_t fit = std::min<std::size_t>(count - done, before_end / units);
        std::size_t here = 0;
        for (; here < fit; ++here, from += units * 8) {
            std::memcpy(&header, from, 8);
            if (header != size) break;
            copy_short(to + (done + here) * size, from + 8, size);
        }
        if (here == 0) break;  // another kind of record, or one that is split at the end of the block
        take_lines(begin, from);
        head = head.advanced(skipped + here * units, here);
        done += here;
    }
    if (done == 0) return 0;
    shm::kill_point();
    state_->head.store(head.word, std::memory_order_release);
    shm::kill_point();
    emptied_block = head.position() / block_units != first_block;
    return done;
}

base::Expected<std::size_t> BlockQueue::take(QueueSink& sink, std::size_t most, bool& emptied_block) {
    QueueMark head{state_->head.load(std::memory_order_relaxed)};
    const std::size_t count = std::min(inside(head), most);
    const std::uint64_t first_block = head.position() / block_units;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t position = head.position();
        std::uint64_t header;
        std::memcpy(&header, at(position), 8);
        std::uint64_t skipped = 0;
        if (header & record_skip) {
            skipped = block_units - position % block_units;
            position = (position + skipped) & QueueMark::position_mask;
            std::memcpy(&header, at(position), 8);
        }
        const std::size_t size = header & record_size_mask;
        const std::size_t prefix = header & record_handles ? 8 : 0;
        ++position;
        const std::uint64_t behind = (QueueMark{state_->tail_copy}.position() - position) & QueueMark::position_mask;
        if (size < prefix || (size + 7) / 8 > behind) [[unlikely]] return base::error_of(EBADMSG);
        std::uint64_t handles = 0;
        std::size_t skipped_bytes = 0;
        std::byte* const to = sink.room(size, prefix != 0, size < 8 ? nullptr : at(position & QueueMark::position_mask), skipped_bytes);
        position += skipped_bytes / 8;
        for (std::size_t left = size - skipped_bytes, done = 0; left != 0;) {
            position &= QueueMark::position_mask;
            const std::size_t piece = std::min({left, (block_units - position % block_units) * 8, longest_piece});
            std::byte* const from = at(position);
            std::memcpy(to + done, from, piece);
            take_lines(from, from + (piece + 7) / 8 * 8);
            done += piece;
            left -= piece;
            position += (piece + 7) / 8;
        }
        if (prefix != 0) std::memcpy(&handles, to, 8);
        sink.received(prefix, size - prefix, handles);
        head = head.advanced(skipped + 1 + (size + 7) / 8, 1);
    }
    if (count == 0) return std::size_t{0};
    shm::kill_point();
    state_->head.store(head.word, std::memory_order_release);
    shm::kill_point();
    emptied_block = head.position() / block_units != first_block;
    return count;
}

void BlockQueue::trim() {
    const QueueMark head{state_->head.load(std::memory_order_acquire)};
    const std::uint64_t warm = std::clamp<std::uint64_t>(state_->warm, least_warm, most_warm);
    // No more than there are, whatever the books say.
    for (std::uint64_t left = fresh(); left > 0; --left) {
        if (distance(reclaimed(state_->books), head.position() / block_units) <= warm) return;
        retire_oldest();
    }
}

void BlockQueue::recover_producer() {
    const QueueMark tail{state_->tail.load(std::memory_order_relaxed)};
    const std::uint64_t lost = (state_->intent - tail.count()) & QueueMark::count_mask;
    if (lost != 0) state_->dropped.fetch_add(lost, std::memory_order_relaxed);
    state_->intent = tail.count();
    // Idle is what was ever taken and is no logical block's.
    const std::uint64_t words = (fresh() + 63) / 64;
    for (std::uint64_t i = 0; i < words; ++i) idle_[i] = ~0ULL;
    if (fresh() % 64 != 0) idle_[words - 1] = (1ULL << (fresh() % 64)) - 1;
    const std::uint64_t count = distance(reclaimed(state_->books), allocated(state_->books));
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint32_t block = checked_block(*block_of(reclaimed(state_->books) + i));
        idle_[block / 64] &= ~(1ULL << (block % 64));
    }
    state_->idle = 0;
    for (std::uint64_t i = 0; i < words; ++i) state_->idle += static_cast<unsigned>(std::popcount(idle_[i]));
}

std::uint64_t BlockQueue::size() const {
    for (;;) {
        const std::uint64_t head = state_->head.load(std::memory_order_acquire);
        const std::uint64_t tail = state_->tail.load(std::memory_order_acquire);
        if (state_->head.load(std::memory_order_acquire) == head) {
            return (QueueMark{tail}.count() - QueueMark{head}.count()) & QueueMark::count_mask;
        }
    }
}

bool BlockQueue::empty() const { return size() == 0; }

}  // namespace mp::transport
