/// \file
/// What runs a pool's calls: the interface between the typed face and whatever does the work - processes here, threads,
/// the calling thread, other machines. Only bytes, handles and entries cross it; nothing in it assumes that memory is
/// shared or that a worker is one process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <typeinfo>
#include <vector>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/serialize.hpp>
#include <multiprocessing/stats.hpp>

namespace mp {
struct CallOptions;
}  // namespace mp

namespace mp::shm {
class Segment;
}  // namespace mp::shm

namespace mp::trace {
class ProgressDisplay;
}  // namespace mp::trace

namespace mp::detail {

/// A callable before its type is forgotten.
struct CallableSpec {
    const EntryRecord* entry = nullptr;
    const void* function = nullptr;
    void (*encode)(serial::Writer& writer, const void* function) = nullptr;
    std::span<const std::byte> key{};  ///< its state as bytes, when these say all about it
    bool keyed = false;
    const void* code = nullptr;  ///< of a plain function, for its name
    const std::type_info* type = nullptr;
};

/// A callable that an engine has taken in, for many tasks. The engine forgets it with the last owner.
class PreparedCallable {
  public:
    virtual ~PreparedCallable();
};

/// Told that something is over, once, by whichever thread notices it, with an engine's lock held: it is short, does not
/// throw and calls no engine.
class Completion {
  public:
    virtual void completed() noexcept = 0;

  protected:
    ~Completion() = default;
};

/// One call of submit. Needed until the engine's function returns.
struct TaskSpec {
    CallableSpec callable{};
    const std::shared_ptr<PreparedCallable>* prepared = nullptr;  ///< instead of `callable`
    std::optional<std::uint64_t> index{};                         ///< in the input of the call that it belongs to
    std::uint64_t call = 0;                                       ///< Engine::number_call()
    const serial::Writer* arguments = nullptr;
    const CallOptions* options = nullptr;
    std::shared_ptr<Completion> completion{};  ///< told when it is over, as by Pending::notify() without `watched`
};

/// Where the encoded inputs of a map are written before the call, so that the engine need not copy them.
class MP_EXPORT InputMemory {
  public:
    InputMemory() = default;
    explicit InputMemory(std::span<std::byte> room) : writer(room) {}
    InputMemory(const InputMemory&) = delete;
    InputMemory& operator=(const InputMemory&) = delete;
    virtual ~InputMemory();

    serial::Writer writer;
};

/// One call of map and its relatives. Needed until the engine's function returns.
struct MapSpec {
    CallableSpec callable{};
    std::uint64_t count = 0;
    std::span<const std::byte> inputs{};
    std::span<const std::uint64_t> input_offsets{};  ///< count + 1 of them when inputs are encoded
    InputMemory* memory = nullptr;                   ///< from Engine::input_memory(), when `inputs` were written there
    std::uint64_t result_size = 0;                   ///< of each, in an array; 0: encoded, or none
    bool encoded_results = false;
    /// A position - what is counted, run, and has a result - stands for so many elements of the input, and less at the
    /// end. Errors name elements.
    std::uint64_t group = 1;
    std::uint64_t elements = 0;  ///< of the input; 0: as many as positions
    /// Nobody but this worker, by its place among Engine::workers(), or whoever replaces it, is to run it.
    std::optional<std::size_t> worker{};
    std::uint64_t call = 0;  ///< Engine::number_call()
    const CallOptions* options = nullptr;
    /// The caller's memory in which the callable works. Whoever has mapped it for that may keep it as long as the caller.
    std::shared_ptr<const shm::Segment> place{};
};

class Bell;
class CallbackThread;
class Engine;

/// What an engine was given to do. Dropping it changes nothing: the work is done all the same. Any thread.
class MP_EXPORT Pending {
  public:
    Pending() = default;
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    virtual ~Pending();

    /// Whether it is over by now. Does not wait.
    virtual bool poll() = 0;
    /// Waits until it is over; true then. `seconds` below zero is for ever.
    virtual bool wait(double seconds) = 0;
    /// Nothing more of it is begun; it ends with TaskCancelled. False when it is too late for that.
    virtual bool cancel() = 0;
    /// Once it is over: why all of it failed; null otherwise.
    virtual std::exception_ptr failure() const = 0;
    /// Once it is over: its failure, or the error of the first element that has one; null when there are only values.
    virtual std::exception_ptr first_error() const = 0;
    /// Has `completion` told when this is over; false when it is over already, and then nobody is told. `watched`: the
    /// engine sees to it that this is noticed soon; otherwise it is noticed while somebody is in Engine::help().
    virtual bool notify(std::shared_ptr<Completion> completion, bool watched) = 0;
    /// Takes notify() back, when it has not been told yet.
    virtual void forget(const Completion& completion) = 0;
    virtual Engine& engine() = 0;

    /// A descriptor that becomes readable when this is over, and stays so. Lives as long as this; made by the first
    /// call.
    int bell();

  private:
    std::atomic<std::shared_ptr<Bell>*> bell_{nullptr};  // owned; set once (release), then only read (acquire)
};

/// One submitted task.
class MP_EXPORT PendingTask : public Pending {
  public:
    /// The result of one that is over and has not failed. Lives as long as this.
    virtual std::span<const std::byte> bytes() const = 0;
    virtual std::span<const serial::Handle> attached() const = 0;
};

/// How far a map is: elements that ended, and those of them that failed for good.
struct MapProgress {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
};

/// One map. What is said of elements holds once it is over; the results live as long as this.
class MP_EXPORT PendingMap : public Pending {
  public:
    /// Positions.
    virtual std::uint64_t size() const = 0;
    /// Of the input: what progress() counts.
    virtual std::uint64_t elements() const { return size(); }
    virtual bool has_value(std::uint64_t index) const = 0;
    /// Of an element without a value.
    virtual std::exception_ptr error(std::uint64_t index) const = 0;
    /// The array of results.
    virtual const std::byte* array() const = 0;
    virtual std::span<const std::byte> encoded(std::uint64_t index) const = 0;
    /// How many threads of the caller decode the results: Engine::copying_threads() of their bytes. When it is more than
    /// one, they call has_value(), error() and encoded() at the same time.
    virtual int decoding_threads() const { return 1; }
    /// At any time, without asking anybody. An engine that cannot tell says nothing is done until all is.
    virtual MapProgress progress() { return {poll() ? elements() : 0, 0}; }
    /// What tells the user, where the engine has begun with that because it runs a map before it returns; or null.
    virtual std::shared_ptr<trace::ProgressDisplay> display() { return nullptr; }
};

/// Runs calls. All members may be called by several threads at once.
class MP_EXPORT Engine : public std::enable_shared_from_this<Engine> {
  public:
    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine();

    /// Numbers the calls of a pool, for task_rng(): each call of submit, map and their kin takes one.
    std::uint64_t number_call() noexcept { return calls_.fetch_add(1, std::memory_order_relaxed); }

    virtual std::shared_ptr<PreparedCallable> prepare(const CallableSpec& spec) = 0;
    virtual std::shared_ptr<PendingTask> submit(const TaskSpec& spec) = 0;
    /// For the inputs of one call of map, which are expected to take so many bytes.
    virtual std::unique_ptr<InputMemory> input_memory(std::uint64_t size);
    /// How many threads of the caller, its own among them, copy so many bytes of a map's inputs or results.
    virtual int copying_threads(std::uint64_t) const { return 1; }
    /// Begins it, and does not wait for its end.
    virtual std::shared_ptr<PendingMap> map(const MapSpec& spec) = 0;

    /// The calling thread does the engine's work until `done()`, which is looked at after each completion, with the
    /// engine's lock held; false when `seconds` (below zero: for ever) passed first.
    virtual bool help(const std::function<bool()>& done, double seconds) = 0;
    /// How many small tasks one caller should have under way so that no worker waits for the next: few while they take
    /// long.
    virtual std::size_t useful_window() const = 0;
    /// What was printed by work that is over has been passed on when this returns. Waits of Pending do so themselves.
    virtual void settle() {}
    /// Where user callbacks run.
    virtual CallbackThread& callbacks() = 0;

    virtual void close() = 0;
    virtual void join() = 0;
    virtual void terminate() = 0;
    /// What ~Pool does: finishes everything; when `unwinding`, what has not begun is cancelled first.
    virtual void leave(bool unwinding) = 0;

    virtual int workers() const = 0;
    virtual std::vector<pid_t> pids() = 0;
    /// An engine that counts nothing has none.
    virtual PoolStats stats() { return {}; }

  private:
    std::atomic<std::uint64_t> calls_{0};
};

}  // namespace mp::detail
