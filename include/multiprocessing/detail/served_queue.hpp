/// \file
/// What a manager's server holds for a managed queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include <multiprocessing/detail/served_sync.hpp>
#include <multiprocessing/errors.hpp>

namespace mp::detail {

enum class ServedOutcome : std::uint8_t { done, timed_out, closed };

template <class T>
struct ServedItem {
    ServedOutcome outcome = ServedOutcome::done;
    std::optional<T> item{};
};

template <class T>
class ServedQueue {
  public:
    static constexpr bool is_thread_safe = true;
    explicit ServedQueue(std::size_t maxsize) : maxsize_(maxsize) {}

    ServedOutcome put(T item, WaitLimit limit) {
        auto lock = room_.enter();
        if (!room_.wait(lock, limit, [&] { return closed_ || maxsize_ == 0 || items_.size() < maxsize_; }))
            return ServedOutcome::timed_out;
        if (closed_) return ServedOutcome::closed;
        items_.push_back(std::move(item));
        ++unfinished_;
        room_.changed();
        return ServedOutcome::done;
    }
    ServedItem<T> get(WaitLimit limit) {
        auto lock = room_.enter();
        if (!room_.wait(lock, limit, [&] { return closed_ || !items_.empty(); })) return {ServedOutcome::timed_out};
        if (items_.empty()) return {ServedOutcome::closed};
        ServedItem<T> taken{ServedOutcome::done, std::move(items_.front())};
        items_.pop_front();
        room_.changed();
        return taken;
    }
    std::size_t qsize() {
        const auto lock = room_.enter();
        return items_.size();
    }
    std::size_t maxsize() { return maxsize_; }
    void close() {
        const auto lock = room_.enter();
        closed_ = true;
        room_.changed();
    }
    bool closed() {
        const auto lock = room_.enter();
        return closed_;
    }
    void task_done() {
        const auto lock = room_.enter();
        if (unfinished_ == 0) throw Error("task_done was called more often than items were put into the queue");
        if (--unfinished_ == 0) room_.changed();
    }
    bool join(WaitLimit limit) {
        auto lock = room_.enter();
        return room_.wait(lock, limit, [&] { return unfinished_ == 0; });
    }

  private:
    WaitRoom room_;
    const std::size_t maxsize_;
    std::deque<T> items_;
    std::size_t unfinished_ = 0;
    bool closed_ = false;
};

}  // namespace mp::detail
