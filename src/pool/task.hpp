// One submitted task in the caller's ledger: what is to be run, where it is, what came of it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/pool_options.hpp>
#include <multiprocessing/serialize.hpp>

#include "os/modules.hpp"
#include "pool/call_terms.hpp"
#include "pool/lane.hpp"
#include "pool/retry_policy.hpp"
#include "pool/watchers.hpp"

namespace mp::pool {

/// Tells callables apart as long as frames name them, unlike their addresses. Numbers are valid in one generation of a
/// worker's table; the first generation is 1, so {} is none.
struct CallableId {
    std::uint64_t generation = 0;
    std::uint32_t number = 0;
    friend bool operator==(const CallableId&, const CallableId&) = default;
};

/// What users know a callable by, for messages: `parse`, `main::{lambda(int)#1}`. `code`: of a plain function; null for
/// others, which are called by their type. May take milliseconds.
std::string callable_name(const void* code, const std::type_info& type);

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
    std::uint32_t label_number = ~0U;   // on the status page, once it has one
    // Where entry and code lie, unless that is the program itself: what can be unloaded, and replaced at its address.
    os::ModulePtr entry_module;
    os::ModulePtr code_module;
    bool lasting = false;               // none of that

    CallableId id() const { return {generation, number}; }
    const std::string& name() const;

  private:
    mutable std::string name_;          // once asked for; under the pool's lock
};

/// Bytes of a task: its arguments, then its result. Few of them need no allocation.
class TaskBytes {
  public:
    TaskBytes() {}
    /// A copy.
    explicit TaskBytes(std::span<const std::byte> bytes) : size_(bytes.size()) {
        std::byte* to = here_.data();
        if (bytes.size() > here_.size()) {
            to = heap_ = new std::byte[bytes.size()];  // NOLINT(cppcoreguidelines-owning-memory)
            kind_ = heap;
        }
        if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    }
    /// Arguments that lie in the pool's segment, which is not given back by this.
    TaskBytes(std::uint64_t at, std::uint64_t size) : size_(size), kind_(segment), at_(at) {}
    /// What a worker left in its lane, given back to it when this goes. `at` is the payload's offset in the lane's heap.
    TaskBytes(std::shared_ptr<LaneMemory> memory, std::uint64_t at, std::uint64_t size)
        : size_(size), kind_(lane), in_lane_{std::move(memory), at} {}
    TaskBytes(TaskBytes&& other) noexcept { take(other); }
    TaskBytes& operator=(TaskBytes&& other) noexcept {
        if (this == &other) return *this;
        release();
        take(other);
        return *this;
    }
    ~TaskBytes() { release(); }

    std::uint64_t size() const { return size_; }
    /// 0: not there.
    std::uint64_t segment_at() const { return kind_ == segment ? at_ : 0; }
    /// Empty when they lie in the segment.
    std::span<const std::byte> bytes() const {
        switch (kind_) {
            case here: return {here_.data(), size_};
            case heap: return {heap_, size_};
            case lane: return in_lane_.memory->heap(in_lane_.at, size_);
            default: return {};
        }
    }

  private:
    enum Kind : std::uint8_t { here, heap, segment, lane };
    struct InLane {
        std::shared_ptr<LaneMemory> memory;
        std::uint64_t at;
    };

    void take(TaskBytes& other) {
        size_ = other.size_;
        kind_ = other.kind_;
        if (kind_ == lane) {
            new (&in_lane_) InLane(std::move(other.in_lane_));
            other.in_lane_.~InLane();
        } else {
            here_ = other.here_;  // whichever it is
        }
        other.size_ = 0;
        other.kind_ = here;
    }
    void release() {
        if (kind_ == here) return;
        if (kind_ == heap) delete[] heap_;  // NOLINT(cppcoreguidelines-owning-memory)
        if (kind_ == lane) {
            auto* header = reinterpret_cast<BlockHeader*>(in_lane_.memory->data() + in_lane_.at - sizeof(BlockHeader));
            header->in_use.store(0, std::memory_order_release);
            in_lane_.~InLane();
        }
        size_ = 0;
        kind_ = here;
    }

    std::uint64_t size_ : 60 = 0;
    std::uint64_t kind_ : 4 = here;
    union {
        std::array<std::byte, 40> here_;
        std::byte* heap_;
        std::uint64_t at_;
        InLane in_lane_;
    };
};

}  // namespace mp::pool

namespace mp::detail {

class PoolCore;

/// Shared by its Future and the pool. Written by the pool under its lock until `done`; read by anybody afterwards. There may
/// be millions of them, so what few of them have lies elsewhere.
struct PoolTask final : PendingTask {
    enum class State : std::uint8_t { pending, sent, done };
    enum class Place : std::uint8_t { schedule, delayed, asking };
    using ByTime = std::multimap<std::chrono::steady_clock::time_point, PoolTask*>;

    struct Rare {
        std::unique_ptr<const pool::CallTerms> terms;
        std::vector<serial::Handle> handles;      // of its arguments
        std::vector<serial::Handle> result_handles;
        pool::FailureCounts failures;
        bool limited = false;                     // by its call's timeout: `limit` is valid
        ByTime::iterator limit{};
        ByTime::iterator again{};                 // while it is delayed
        std::exception_ptr error;
    };

    static constexpr std::uint64_t no_index = ~std::uint64_t(0);

    std::atomic<State> state{State::pending};     // done: released after what follows; acquired by readers
    Place place = Place::schedule;                // who has it while it is in the ledger
    std::uint32_t worker = 0;                     // where it was sent, and as which frame
    std::uint64_t number = 0;
    pool::TaskBytes bytes_;                       // its arguments, once it is done its result
    std::unique_ptr<Rare> rare;
    std::shared_ptr<PoolCore> pool;
    std::shared_ptr<PoolTask> self;               // while it is in the pool's ledger
    std::shared_ptr<pool::Callable> callable;
    const pool::CallTerms* terms = nullptr;       // the pool's, or its own
    std::uint64_t call = 0;                       // its number among the pool's calls
    std::uint64_t index = no_index;               // in a stream
    std::uint32_t label_number = 0;               // on the status page
    pool::Watchers watchers;                      // told when it is done

    Rare& rarely() {
        if (!rare) rare = std::make_unique<Rare>();
        return *rare;
    }
    bool has_handles() const { return rare && !rare->handles.empty(); }
    pool::FailureCounts failures() const { return rare ? rare->failures : pool::FailureCounts(); }

    bool poll() override;
    bool wait(double seconds) override;
    bool cancel() override;
    std::exception_ptr failure() const override { return rare ? rare->error : nullptr; }
    std::exception_ptr first_error() const override { return failure(); }
    bool notify(std::shared_ptr<Completion> completion, bool watched) override;
    void forget(const Completion& completion) override;
    Engine& engine() override;
    std::span<const std::byte> bytes() const override { return bytes_.bytes(); }
    std::span<const serial::Handle> attached() const override {
        return rare ? std::span<const serial::Handle>(rare->result_handles) : std::span<const serial::Handle>();
    }

    bool done() const { return state.load(std::memory_order_acquire) == State::done; }
};

}  // namespace mp::detail
