#include <multiprocessing/detail/completion_queue.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "base/deadline.hpp"
#include "pool/callback_thread.hpp"

namespace mp::detail {

struct CompletionQueue::State {
    Engine* only = nullptr;
    std::mutex mutex;  // guards what follows; taken under an engine's lock, never the other way round
    std::condition_variable news;
    std::deque<std::uint64_t> over;
    std::atomic<std::size_t> ready{0};  // size of `over`, read without the lock
    // Of the caller's thread alone: what was not given out. Only this holds the work: an item may go under an engine's
    // lock, where the last hold on a map must not.
    std::unordered_map<std::uint64_t, std::pair<std::shared_ptr<Item>, std::shared_ptr<Pending>>> items;
};

struct CompletionQueue::Item final : Completion {
    Item(std::shared_ptr<State> given_state, std::uint64_t given_tag) : state(std::move(given_state)), tag(given_tag) {}

    void completed() noexcept override {
        const std::scoped_lock hold(state->mutex);
        state->over.push_back(tag);
        state->ready.fetch_add(1, std::memory_order_release);
        state->news.notify_one();
    }

    std::shared_ptr<State> state;
    std::uint64_t tag;
};

CompletionQueue::CompletionQueue(Engine* only) : state_(std::make_shared<State>()) { state_->only = only; }

CompletionQueue::~CompletionQueue() {
    for (const auto& [tag, entry] : state_->items) entry.second->forget(*entry.first);
    // Items hold the state, which holds the items.
    state_->items.clear();
}

void CompletionQueue::add(std::shared_ptr<Pending> pending, std::uint64_t tag) {
    auto item = std::make_shared<Item>(state_, tag);
    const auto& entry = state_->items.emplace(tag, std::pair(std::move(item), std::move(pending))).first->second;
    if (!entry.second->notify(entry.first, state_->only == nullptr)) entry.first->completed();
}

std::size_t CompletionQueue::left() const { return state_->items.size(); }

std::optional<std::uint64_t> CompletionQueue::next(double seconds) {
    if (state_->items.empty()) return std::nullopt;
    const auto ready = [&] { return state_->ready.load(std::memory_order_acquire) > 0; };
    if (state_->only) {
        if (!ready() && !state_->only->help(ready, seconds)) return std::nullopt;
    } else {
        std::unique_lock lock(state_->mutex);
        if (seconds < 0 || seconds > 1e9)
            state_->news.wait(lock, ready);
        else if (!state_->news.wait_for(lock, std::chrono::duration<double>(seconds), ready))
            return std::nullopt;
    }
    std::uint64_t tag = 0;
    {
        const std::scoped_lock hold(state_->mutex);
        tag = state_->over.front();
        state_->over.pop_front();
        state_->ready.fetch_sub(1, std::memory_order_relaxed);
    }
    state_->items.erase(tag);
    return tag;
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
