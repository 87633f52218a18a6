#include <multiprocessing/detail/completion_queue.hpp>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "base/deadline.hpp"
#include "pool/callback_thread.hpp"

namespace mp::detail {

struct CompletionQueue::State {
    // One piece of work. Reused for the next when it was given out, with its item.
    struct Slot {
        std::shared_ptr<Completion> item;
        std::shared_ptr<Pending> pending;  // only this holds the work: an item may go under an engine's lock, where the
                                           // last hold on a map must not
        std::uint64_t tag = 0;
    };

    Engine* only = nullptr;
    std::mutex mutex;  // guards the next three; taken under an engine's lock, never the other way round
    std::condition_variable news;
    std::vector<std::size_t> over;  // slots
    bool somebody_waits = false;
    std::atomic<bool> ready{false};  // whether `over` holds something, read without the lock
    // Of the caller's thread alone.
    std::vector<Slot> slots;
    std::vector<std::size_t> free;
    std::vector<std::size_t> taken;  // what was over when it was looked at last
    std::size_t given_out = 0;       // of `taken`
    std::size_t left = 0;            // slots in use
};

struct CompletionQueue::Item final : Completion {
    Item(std::shared_ptr<State> given_state, std::size_t given_slot)
        : state(std::move(given_state)), slot(given_slot) {}

    void completed() noexcept override {
        const std::scoped_lock hold(state->mutex);
        state->over.push_back(slot);
        state->ready.store(true, std::memory_order_release);
        if (state->somebody_waits) state->news.notify_one();
    }

    std::shared_ptr<State> state;
    std::size_t slot;
};

CompletionQueue::CompletionQueue(Engine* only) : state_(std::make_shared<State>()) { state_->only = only; }

CompletionQueue::~CompletionQueue() {
    for (const auto& slot : state_->slots)
        if (slot.pending) slot.pending->forget(*slot.item);
    // Items hold the state, which holds the items.
    state_->slots.clear();
}

void CompletionQueue::add(std::shared_ptr<Pending> pending, std::uint64_t tag) {
    const auto& item = next_completion();
    Pending& work = *pending;
    add_told(std::move(pending), tag);
    if (!work.notify(item, state_->only == nullptr)) item->completed();
}

const std::shared_ptr<Completion>& CompletionQueue::next_completion() {
    State& state = *state_;
    if (state.free.empty()) {
        state.slots.push_back({std::make_shared<Item>(state_, state.slots.size()), nullptr});
        state.free.push_back(state.slots.size() - 1);
        // Told under an engine's lock, where there must be room.
        state.taken.reserve(state.slots.capacity());
        const std::scoped_lock hold(state.mutex);
        state.over.reserve(state.slots.capacity());
    }
    return state.slots[state.free.back()].item;
}

void CompletionQueue::add_told(std::shared_ptr<Pending> pending, std::uint64_t tag) {
    State::Slot& slot = state_->slots[state_->free.back()];
    state_->free.pop_back();
    ++state_->left;
    slot.pending = std::move(pending);
    slot.tag = tag;
}

std::size_t CompletionQueue::left() const { return state_->left; }

std::optional<CompletionQueue::Done> CompletionQueue::next(double seconds) {
    State& state = *state_;
    if (left() == 0) return std::nullopt;
    if (state.given_out == state.taken.size()) {
        if (!wait(seconds)) return std::nullopt;
        state.taken.clear();
        state.given_out = 0;
        const std::scoped_lock hold(state.mutex);
        state.taken.swap(state.over);
        state.ready.store(false, std::memory_order_relaxed);
    }
    const std::size_t number = state.taken[state.given_out++];
    State::Slot& slot = state.slots[number];
    state.free.push_back(number);
    --state.left;
    // Whoever noticed it need not have waited for what it printed.
    slot.pending->engine().settle();
    return Done{slot.tag, std::move(slot.pending)};
}

// Until something is over.
bool CompletionQueue::wait(double seconds) {
    const auto ready = [&] { return state_->ready.load(std::memory_order_acquire); };
    if (ready()) return true;
    if (state_->only) return state_->only->help(ready, seconds);
    std::unique_lock lock(state_->mutex);
    state_->somebody_waits = true;
    bool in_time = true;
    if (seconds < 0 || seconds > 1e9)
        state_->news.wait(lock, ready);
    else
        in_time = state_->news.wait_for(lock, std::chrono::duration<double>(seconds), ready);
    state_->somebody_waits = false;
    return in_time;
}

void CompletionQueue::cancel() {
    for (const auto& slot : state_->slots)
        if (slot.pending) slot.pending->cancel();
}
namespace {

struct PostedCall final : Completion {
    PostedCall(CallbackThread& given_thread, std::function<void()> given_call)
        : thread(given_thread), call(std::move(given_call)) {}
    void completed() noexcept override { thread.post(std::move(call)); }

    CallbackThread& thread;
    std::function<void()> call;
};

}  // namespace

void call_when_done(Pending& pending, std::function<void()> call) {
    CallbackThread& thread = pending.engine().callbacks();
    const auto posted = std::make_shared<PostedCall>(thread, std::move(call));
    if (!pending.notify(posted, true)) posted->completed();
}

}  // namespace mp::detail
