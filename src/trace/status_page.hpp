// What a pool shows of itself: one memory file, written by its owner and workers, read by whoever wants to know.
//
// Readers copy it and believe nothing. Nobody waits for a reader or is asked by one. Every field is one relaxed atomic
// with one writer at a time, so that a copy may mix moments but never halves of a number; a process that dies leaves
// the last ones it stored. A worker's slot belongs to its place in the pool: who replaces it goes on counting.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <multiprocessing/stats.hpp>

#include "base/expected.hpp"
#include "os/mapping.hpp"
#include "os/unique_fd.hpp"

namespace mp::trace {

/// As /proc shows it: `/memfd:multiprocessing status (deleted)`.
inline constexpr char status_file_name[] = "multiprocessing status";

using Field = std::atomic<std::uint64_t>;

/// Nanoseconds of the clock that is the same in all processes.
inline std::uint64_t now() {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

/// For fields with one writer: cheaper than an atomic addition.
inline void add(Field& field, std::uint64_t more) {
    field.store(field.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

inline constexpr std::uint64_t no_element = ~std::uint64_t(0);

struct StatusHeader {
    static constexpr std::uint64_t expected_magic = 0x7375746174732d70;  // "p-status"
    static constexpr std::uint64_t expected_version = 2;

    // Written once, by the owner, `magic` last.
    Field magic;
    Field version;
    Field size;   // of the file
    Field owner;  // pid
    Field started_at;
    Field cpus;
    Field workers;
    Field slot_size;
    std::array<char, 128> name;
    // By the owner, as it goes.
    alignas(128) Field waiting;
    Field assigned;
    Field submitted;
    Field elements;
    Field retried;
    Field crashes;
    Field timeouts;
    Field labels;     // how many there are: stored after the label
    Field recording;  // 1: workers write down each task in their lanes
    Field memory_limit;
    Field short_of_memory;
    Field memory_pauses;
};

/// What tasks are called; by the owner, never changed once `labels` counts it. Functions whose name nobody has asked
/// for yet are given as a place in a file, for the reader to look up.
struct StatusLabel {
    static constexpr std::uint64_t text = 0, place = 1;
    std::uint64_t kind;
    std::uint64_t offset;  // of a place
    std::uint64_t build_id_size;
    std::array<unsigned char, 40> build_id;
    std::array<char, 192> characters;  // the text, or the file; ends with a zero, or with the array
};
static_assert(sizeof(StatusLabel) == 256);

/// Number 0 stands for all that have no room.
inline constexpr std::uint64_t most_labels = 256;
inline constexpr std::uint64_t labels_at = 4096;
inline constexpr std::uint64_t slots_at = labels_at + most_labels * sizeof(StatusLabel);

struct SlowTask {
    Field duration;  // 0: none
    Field begin;
    Field element;  // no_element: a submitted task
    Field count;
    Field label;
};

struct WorkerSlot {
    // By the owner.
    alignas(128) Field pid;  // 0: nobody is there
    Field launched_at;
    Field launches;
    // By the worker: what it does. `state` as in WorkerState.
    alignas(128) Field state;
    Field since;  // of the state; of the task, while it works
    Field label;
    Field element;
    Field until;  // element behind the last of the chunk at work
    // By the worker: what it has done.
    alignas(128) Field tasks;
    Field failed;
    Field start;
    Field init;
    Field waited;
    Field worked;
    Field sent;
    Field memory_limiter;  // a MemoryLimiter, and 1 more; 0: nobody has begun there
    std::array<Field, DurationHistogram::buckets> times;
    std::array<SlowTask, 8> slowest;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(Field) == 8);

/// What the process in that place has said; nothing when none has begun. Whatever the field holds.
std::optional<MemoryLimiter> memory_limiter(const WorkerSlot& slot);

/// The owner's side.
class StatusPage {
  public:
    StatusPage() = default;
    static base::Expected<StatusPage> make(std::string_view name, std::size_t workers, unsigned cpus);

    int file() const { return file_.get(); }
    std::size_t size() const { return mapping_.size(); }
    explicit operator bool() const { return bool(mapping_); }
    StatusHeader& header() { return *reinterpret_cast<StatusHeader*>(mapping_.data()); }
    WorkerSlot& slot(std::size_t worker);
    std::span<const std::byte> bytes() const { return mapping_.bytes(); }

    /// The number of a label; the same text, or place, has one number. Under the owner's lock.
    std::uint64_t label(std::string_view text);
    struct Place {
        std::string file;
        std::vector<unsigned char> build_id;
        std::uint64_t offset;
    };
    std::uint64_t label(const Place& place);

  private:
    std::uint64_t enter(std::string key, const StatusLabel& label);

    os::UniqueFd file_;
    os::Mapping mapping_;
    std::unordered_map<std::string, std::uint64_t> numbers_;
};

/// A worker's side: its own slot, and what the owner asks of it.
class StatusWriter {
  public:
    StatusWriter() = default;
    StatusWriter(os::Mapping mapping, std::size_t worker);

    bool recording() const { return header().recording.load(std::memory_order_relaxed) != 0; }

    void started();
    void initialized();
    void limited(MemoryLimiter limiter) {
        slot_->memory_limiter.store(static_cast<std::uint64_t>(limiter) + 1, std::memory_order_relaxed);
    }
    /// A task or a chunk, at the moment when it began: a look at the clock that the worker has taken anyway.
    void begin(std::uint64_t at, std::uint64_t label, std::uint64_t element, std::uint64_t count) {
        slot_->label.store(label, std::memory_order_relaxed);
        slot_->element.store(element, std::memory_order_relaxed);
        slot_->until.store(element + count, std::memory_order_relaxed);
        slot_->since.store(at, std::memory_order_relaxed);
        set(WorkerState::working);
    }
    void end(std::uint64_t begin, std::uint64_t end, std::uint64_t label, std::uint64_t element, std::uint64_t count) {
        const std::uint64_t took = end - begin;
        add(slot_->worked, took);
        add(slot_->tasks, count);
        add(slot_->times[DurationHistogram::bucket_of(count > 1 ? took / count : took)], count);
        if (took > floor_) [[unlikely]]
            enter_slowest(took, begin, label, element, count);
    }
    void waits(std::uint64_t at) {
        slot_->since.store(at, std::memory_order_relaxed);
        set(WorkerState::waiting);
    }
    void waited(std::uint64_t nanoseconds) { add(slot_->waited, nanoseconds); }
    /// A part of what was counted as work.
    void sent(std::uint64_t nanoseconds);
    void failed() { add(slot_->failed, 1); }

  private:
    const StatusHeader& header() const { return *reinterpret_cast<const StatusHeader*>(mapping_.data()); }
    void set(WorkerState state) { slot_->state.store(static_cast<std::uint64_t>(state), std::memory_order_relaxed); }
    void enter_slowest(std::uint64_t took, std::uint64_t begin, std::uint64_t label, std::uint64_t element,
                       std::uint64_t count);

    os::Mapping mapping_;
    WorkerSlot* slot_ = nullptr;
    std::uint64_t floor_ = 0;  // the shortest of the slowest
};

/// What a copy of a page says at the moment `at`; nothing when it is no such page. The bytes may be anything.
/// `owner`, when asked for, is the pid that the page names.
std::optional<PoolStats> read_status(std::span<const std::byte> bytes, std::uint64_t at, pid_t* owner = nullptr);

/// The texts of its labels, by number.
std::vector<std::string> read_labels(std::span<const std::byte> bytes);

}  // namespace mp::trace
