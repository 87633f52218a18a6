// The core of Queue: records of bytes from many producers to many consumers, through blocks of shared memory.
//
// Records lie one behind the other in a stream of logical blocks; a table says which physical block each logical block
// is. Producers fill physical blocks that consumers have emptied, a few of which stay warm; with none left they take
// new ones, so that the queue grows; what is more than the warm ones is given back to the system, by the next producer
// or by the consumer that emptied it, who then needs the producers' lock (not its own: pages must not go before the
// head that says so).
//
// Producers exclude each other by one robust lock, consumers by another. What the one kind tells the other are two
// words: `tail`, position and count of what was put, and `head`, of what was taken; each is changed by one store, after
// the data. So who dies holding a lock leaves nothing half-done: a record whose tail was not stored does not exist, a
// record whose head was not stored is still there. Of the books kept by producers, {reclaimed, allocated} is one word as
// well; `fresh` runs ahead of it and the set of idle blocks may miss one: recover_producer() sets that right.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/expected.hpp"
#include "shm/robust_lock.hpp"
#include "shm/wait.hpp"

namespace mp::transport {

inline constexpr std::size_t queue_block = 256 << 10;  // bytes
inline constexpr std::size_t queue_max_blocks = std::size_t(1) << 18;
inline constexpr std::size_t queue_max_items = (std::size_t(1) << 30) - 2;

/// Position and count in one word: the position in units of 8 bytes modulo 2^34, the count modulo 2^30.
struct QueueMark {
    std::uint64_t word;

    static constexpr std::uint64_t count_mask = (1ULL << 30) - 1;
    static constexpr std::uint64_t position_mask = (1ULL << 34) - 1;

    std::uint64_t count() const { return word & count_mask; }
    std::uint64_t position() const { return word >> 30; }  // units of 8 bytes
    QueueMark advanced(std::uint64_t units, std::uint64_t items) const {
        return {((position() + units) & position_mask) << 30 | ((count() + items) & count_mask)};
    }
};

/// Lies in shared memory behind the block's head. Zero but for the locks, `max_items` and `max_blocks` at first.
struct QueueState {
    std::uint64_t max_items;            // 0: unbounded. Constant
    std::uint64_t max_blocks;           // Constant
    std::atomic<std::uint32_t> closed;  // set under the put lock, release; read by all
    std::atomic<std::uint32_t> armed;   // somebody polls the bell descriptor. Sticky
    std::atomic<std::uint32_t> rung;    // the bell descriptor is readable. By exchange
    std::uint32_t unused;
    std::atomic<std::uint64_t> dropped;  // records that died with their producer, or lost their descriptors
    alignas(128) shm::WakeWord not_empty;
    shm::WakeWord not_full;
    shm::WakeWord all_done;
    std::atomic<std::uint64_t> done;  // count (as in QueueMark) of task_done() calls

    // Under the put lock.
    alignas(128) std::atomic<std::uint64_t> tail;  // release by producers, acquire by consumers
    std::uint64_t head_copy;                       // a head that once was
    std::uint64_t intent;                          // count that tail will have when what is being written is there
    std::uint64_t books;                           // logical blocks: reclaimed (upper half) and allocated (lower half)
    std::uint64_t fresh;                           // physical blocks ever taken
    std::uint64_t idle;                            // of them, those in the idle set
    std::uint64_t tickets;                         // of descriptor packets
    std::uint64_t warm;                            // emptied blocks that keep their pages
    alignas(64) shm::RobustLock put_lock;

    // Under the get lock.
    alignas(128) std::atomic<std::uint64_t> head;  // release by consumers, acquire by producers
    std::uint64_t tail_copy;                       // a tail that once was
    alignas(64) shm::RobustLock get_lock;
};
static_assert(sizeof(QueueState) == 512);

/// One record: the bytes in it, further ones that lie elsewhere (`bytes` are a multiple of 8 then), and, when descriptors
/// belong to it, the ticket and number of their packets.
struct QueueRecord {
    std::span<const std::byte> bytes;
    std::span<const std::byte> rest = {};
    std::uint64_t handles = 0;
};

/// Where received records go.
class QueueSink {
  public:
    /// Memory for the next record, which begins with `first` (8 bytes, if it has as many): its bytes from `skipped` on are
    /// to be copied there, 0 if the sink says nothing else, or 8.
    virtual std::byte* room(std::size_t size, bool handles, const std::byte* first, std::size_t& skipped) = 0;
    /// The record that was copied there: its bytes begin at `offset`.
    virtual void received(std::size_t offset, std::size_t size, std::uint64_t handles) = 0;

  protected:
    ~QueueSink() = default;
};

class BlockQueue {
  public:
    /// Bytes of memory file for `max_blocks` blocks behind `offset`, most of which is never touched.
    static std::uint64_t memory_for(std::size_t offset, std::size_t max_blocks);
    static base::Expected<void> initialise(QueueState& state, std::uint64_t max_items, std::uint64_t max_blocks);

    /// `memory`: start of the mapped file; the state lies at `offset` (a multiple of 128). `file` for giving back pages.
    /// `max_blocks`: a power of two, by which the file has been sized. Whatever others write into the memory, nothing
    /// outside it is touched.
    BlockQueue(std::byte* memory, std::size_t offset, std::uint64_t max_blocks, int file);

    QueueState& state() const { return *state_; }

    /// With the put lock held. How many of `wanted` records fit now under the limit of items.
    std::size_t room_for_items(std::size_t wanted);
    /// With the put lock held: writes one record. Error ENOMEM: no memory left; ENOSPC: no block left. The record counts
    /// from publish() on.
    base::Expected<void> write(const QueueRecord& record);
    /// The same for up to `count` records of `size` bytes each that lie one behind the other, as many as there is memory
    /// for; the error is told only when none was written.
    base::Expected<std::size_t> write_equal(const std::byte* records, std::size_t size, std::size_t count);
    void publish();
    /// Forgets what was written since publish().
    void rewind() {
        written_ = {state_->tail.load(std::memory_order_relaxed)};
        state_->intent = written_.count();
    }

    /// With the get lock held: copies up to `most` records out and takes them off the queue. `emptied_block`: trim() may
    /// have something to do. Error EBADMSG: the memory makes no sense.
    base::Expected<std::size_t> take(QueueSink& sink, std::size_t most, bool& emptied_block);

    /// With the get lock held: copies the next records out, up to `most`, as long as they have `size` bytes and no
    /// handles, and takes them off the queue.
    std::size_t take_equal(std::byte* to, std::size_t size, std::size_t most, bool& emptied_block);

    /// With the put lock held: gives emptied blocks beyond the warm ones back to the system.
    void trim();

    void recover_producer();

    /// Items inside, exact at one instant during the call.
    std::uint64_t size() const;
    bool empty() const;

  private:
    std::byte* at(std::uint64_t position) const;
    std::size_t inside(QueueMark head);
    std::uint32_t* block_of(std::uint64_t logical) const { return &table_[logical & (2 * queue_max_blocks - 1)]; }
    base::Expected<void> reserve_blocks(std::uint64_t end);
    base::Expected<void> add_block();
    void retire_oldest();
    void discard(std::uint32_t block);
    /// What others wrote, cut down to what can be.
    std::uint32_t checked_block(std::uint64_t block) const { return static_cast<std::uint32_t>(block & (max_blocks_ - 1)); }
    std::uint64_t fresh() const { return state_->fresh < max_blocks_ ? state_->fresh : max_blocks_; }

    QueueState* state_;
    std::uint32_t* table_;        // logical block -> physical block
    std::uint64_t* idle_;         // bit set of physical blocks without pages that no logical block uses
    std::byte* data_;
    std::uint64_t data_offset_;
    std::uint64_t max_blocks_;
    int file_;
    QueueMark written_{0};        // end of what write() has written; valid while the put lock is held
};

}  // namespace mp::transport
