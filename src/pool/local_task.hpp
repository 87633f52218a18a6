// What the engines within this process keep of a callable, of a task and of a map.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "pool/call_progress.hpp"
#include "pool/local_engine.hpp"

namespace mp::detail {

/// The current exception as processes would hand it over.
std::exception_ptr as_remote(const TaskInfo& task);

inline std::uint64_t nanoseconds_since(std::chrono::steady_clock::time_point begin) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
}

struct LocalCallable final : PreparedCallable {
    PoolEntry::Signature* code = nullptr;
    std::vector<std::byte> state;
    std::vector<serial::Handle> handles;
    const void* function = nullptr;  // of a plain function, for its name
    const std::type_info* type = nullptr;
    std::uint32_t label = 0;  // on the status page

    const std::string& name() {
        std::call_once(named_, [this] { name_ = pool::callable_name(function, *type); });
        return name_;
    }

  private:
    std::once_flag named_;
    std::string name_;
};

struct LocalTask final : PendingTask {
    std::shared_ptr<LocalEngine> owner;
    std::shared_ptr<LocalCallable> callable;
    std::vector<std::byte> arguments;
    std::vector<serial::Handle> handles;
    Retries retries;
    std::optional<std::uint64_t> index;
    std::string label;
    std::uint32_t label_number = 0;
    int attempt = 1;
    std::uint64_t call = 0;
    std::chrono::steady_clock::time_point due{};  // inline: of its next attempt; under the engine's lock
    std::atomic<bool> done{false};                // released after what follows, acquired by readers
    std::vector<std::byte> result;
    std::vector<serial::Handle> result_handles;
    std::exception_ptr error;
    pool::Watchers watchers;

    TaskInfo info() const { return {.function = callable->name(), .index = index, .label = label, .attempt = attempt}; }

    bool poll() override { return done.load(std::memory_order_acquire); }
    bool wait(double seconds) override { return owner->wait(done, seconds); }
    bool cancel() override { return owner->cancel(*this); }
    std::exception_ptr failure() const override { return error; }
    std::exception_ptr first_error() const override { return error; }
    bool notify(std::shared_ptr<Completion> completion, bool watched) override {
        return owner->notify(done, watchers, std::move(completion), watched);
    }
    void forget(const Completion& completion) override { owner->forget(watchers, completion); }
    Engine& engine() override { return *owner; }
    std::span<const std::byte> bytes() const override { return result; }
    std::span<const serial::Handle> attached() const override { return result_handles; }
};

struct LocalMap final : PendingMap {
    // What one worker has claimed of a round, for whoever wants to know how far it is: hints.
    struct Claim {
        std::atomic<std::uint64_t> begin{0}, end{0};
        std::atomic<std::uint64_t> current{pool::none};  // element being run
    };

    std::shared_ptr<LocalEngine> owner;
    std::shared_ptr<LocalCallable> callable;
    std::uint64_t count = 0, call = 0, chunk = 0;
    pool::Grouping grouping;
    std::uint32_t label_number = 0;
    std::vector<std::byte> inputs;
    std::vector<std::uint64_t> offsets;
    std::vector<std::max_align_t> results;
    std::unique_ptr<std::atomic<std::uint8_t>[]> states;
    std::vector<std::vector<std::byte>> encoded_results;
    bool has_offsets = false, is_encoded = false;
    std::optional<std::size_t> worker;  // nobody else runs it
    Retries retries;
    std::string label;
    std::vector<std::uint64_t> indices;             // of this round; empty: every position
    std::atomic<std::uint64_t> next{0};             // claimed by workers
    std::uint64_t positions = 0;                    // of this round
    std::size_t shares = 0;                         // not left yet; under the engine's lock, as the next
    std::chrono::steady_clock::time_point due{};    // of this round
    std::unique_ptr<Claim[]> claims;                // of this round, one a share
    std::atomic<std::size_t> begun{0};              // shares that have one
    std::shared_ptr<trace::ProgressDisplay> shown;  // by the thread that runs it
    std::exception_ptr interrupted;                 // what the user's function threw that was told
    std::mutex mutex;                               // guards the next three
    std::multimap<std::chrono::steady_clock::time_point, std::uint64_t> again;  // by when they are due
    std::unordered_map<std::uint64_t, int> attempts;
    std::map<std::uint64_t, std::exception_ptr> errors;  // of the last attempt
    std::exception_ptr whole;
    std::atomic<bool> done{false};
    pool::Watchers watchers;

    bool poll() override { return done.load(std::memory_order_acquire); }
    bool wait(double seconds) override { return owner->wait(done, seconds); }
    bool cancel() override { return owner->cancel(*this); }
    std::exception_ptr failure() const override { return whole; }
    std::exception_ptr first_error() const override {
        if (whole) return whole;
        return errors.empty() ? nullptr : errors.begin()->second;
    }
    bool notify(std::shared_ptr<Completion> completion, bool watched) override {
        return owner->notify(done, watchers, std::move(completion), watched);
    }
    void forget(const Completion& completion) override { owner->forget(watchers, completion); }
    Engine& engine() override { return *owner; }
    std::uint64_t size() const override { return count; }
    std::uint64_t elements() const override { return grouping.elements; }
    MapProgress progress() override { return owner->progress(*this); }
    std::shared_ptr<trace::ProgressDisplay> display() override { return shown; }
    TaskInfo info() const { return {.function = callable->name(), .label = label}; }
    bool has_value(std::uint64_t index) const override {
        return states[index].load(std::memory_order_acquire) == static_cast<std::uint8_t>(ElementState::value);
    }
    std::exception_ptr error(std::uint64_t index) const override {
        const auto found = errors.find(index);
        return found != errors.end() ? found->second : std::make_exception_ptr(TaskCancelled("an element was not run"));
    }
    const std::byte* array() const override { return reinterpret_cast<const std::byte*>(results.data()); }
    std::span<const std::byte> encoded(std::uint64_t index) const override { return encoded_results[index]; }
};

}  // namespace mp::detail
