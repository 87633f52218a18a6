// One submitted task in the caller's ledger: what is to be run, where it is, what came of it.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/pool_options.hpp>
#include <multiprocessing/serialize.hpp>

#include "base/small_bytes.hpp"
#include "os/modules.hpp"
#include "pool/call_terms.hpp"
#include "pool/lane.hpp"
#include "pool/retry_policy.hpp"

namespace mp::pool {

/// Tells callables apart as long as frames name them, unlike their addresses. Numbers are valid in one generation of a
/// worker's table; the first generation is 1, so {} is none.
struct CallableId {
    std::uint64_t generation = 0;
    std::uint32_t number = 0;
    friend bool operator==(const CallableId&, const CallableId&) = default;
};

/// A callable with its captured or bound values, as a worker will make it. Sent once to each worker that needs it.
class Callable {
  public:
    detail::EntryId entry;
    std::vector<std::byte> state;
    std::vector<serial::Handle> handles;
    std::uint32_t number = 0;
    std::uint64_t generation = 0;  // numbers are valid in one generation of a worker's table
    const void* code = nullptr;         // of a plain function
    const std::type_info* type = nullptr;
    bool shared = false;                // by calls to come: known by its key
    // Where entry and code lie, unless that is the program itself: what can be unloaded, and replaced at its address.
    os::ModulePtr entry_module;
    os::ModulePtr code_module;

    CallableId id() const { return {generation, number}; }
    /// What users know it by, for messages: `parse`, `main::{lambda(int)#1}`.
    const std::string& name() const;

  private:
    mutable std::string name_;          // once asked for; under the pool's lock
};

/// Bytes that a worker left in its lane, given back to it when the last copy goes.
class ResultBytes {
  public:
    ResultBytes() = default;
    /// Small: a copy.
    explicit ResultBytes(std::span<const std::byte> bytes) : own_(bytes) {}
    /// Large: in place. `at` is the payload's offset in the lane's heap.
    ResultBytes(std::shared_ptr<LaneMemory> lane, std::uint64_t at, std::uint64_t size)
        : lane_(std::move(lane)), at_(at), size_(size) {}
    ResultBytes(ResultBytes&&) noexcept = default;
    ResultBytes& operator=(ResultBytes&& other) noexcept {
        release();
        own_ = std::move(other.own_);
        lane_ = std::move(other.lane_);
        at_ = other.at_;
        size_ = other.size_;
        return *this;
    }
    ~ResultBytes() { release(); }

    std::span<const std::byte> bytes() const {
        return lane_ ? lane_->heap(at_, size_) : own_.bytes();
    }

  private:
    void release() {
        if (!lane_) return;
        auto* header = reinterpret_cast<BlockHeader*>(lane_->data() + at_ - sizeof(BlockHeader));
        header->in_use.store(0, std::memory_order_release);
        lane_.reset();
    }

    base::SmallBytes own_;
    std::shared_ptr<LaneMemory> lane_;
    std::uint64_t at_ = 0;
    std::uint64_t size_ = 0;
};

/// Who is told when something is over.
struct Watcher {
    std::shared_ptr<detail::Completion> completion;
    bool watched = false;               // counted in the callback thread's expectations
};

}  // namespace mp::pool

namespace mp::detail {

class PoolCore;

/// Shared by its Future and the pool. Written by the pool under its lock until `done`; read by anybody afterwards.
struct PoolTask final : PendingTask {
    enum class State : std::uint32_t { pending, sent, done };

    std::shared_ptr<PoolCore> pool;
    std::shared_ptr<PoolTask> self;               // while it is in the pool's ledger
    std::shared_ptr<pool::Callable> callable;
    base::SmallBytes arguments;
    std::uint64_t arguments_at = 0;               // in the segment; 0: in `arguments`
    std::uint64_t arguments_size = 0;
    std::vector<serial::Handle> handles;
    std::optional<std::uint64_t> index;           // in a stream
    std::uint64_t call = 0;                       // its number among the pool's calls
    const pool::CallTerms* terms = nullptr;        // the pool's, or its own
    std::unique_ptr<const pool::CallTerms> own_terms;
    pool::FailureCounts failures;
    std::uint64_t sequence = 0;                   // tasks that were submitted before it
    enum class Place : std::uint8_t { schedule, delayed, asking };
    Place place = Place::schedule;                // who has it while it is in the ledger
    bool limited = false;                         // by its call's timeout: `limit` is valid
    std::multimap<std::chrono::steady_clock::time_point, PoolTask*>::iterator limit{};
    std::multimap<std::chrono::steady_clock::time_point, PoolTask*>::iterator again{};  // while it is delayed
    std::size_t worker = 0;                       // where it was sent, and as which frame
    std::uint64_t number = 0;
    std::uint32_t label_number = 0;               // on the status page

    std::atomic<State> state{State::pending};     // done: released after what follows; acquired by readers
    pool::ResultBytes result;
    std::vector<serial::Handle> result_handles;
    std::exception_ptr error;
    std::vector<pool::Watcher> watchers;          // told when it is done

    bool poll() override;
    bool wait(double seconds) override;
    bool cancel() override;
    std::exception_ptr failure() const override { return error; }
    std::exception_ptr first_error() const override { return error; }
    bool notify(std::shared_ptr<Completion> completion, bool watched) override;
    void forget(const Completion& completion) override;
    Engine& engine() override;
    std::span<const std::byte> bytes() const override { return result.bytes(); }
    std::span<const serial::Handle> attached() const override { return result_handles; }

    bool done() const { return state.load(std::memory_order_acquire) == State::done; }
};

}  // namespace mp::detail
