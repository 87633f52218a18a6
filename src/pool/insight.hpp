// What a pool knows about what it does: its status page, and what a recording session is told.
//
// Everything is called under the pool's lock. Nothing here decides anything.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <unordered_map>
#include <vector>

#include <multiprocessing/stats.hpp>

#include "pool/lane.hpp"
#include "pool/task.hpp"
#include "trace/recorder.hpp"
#include "trace/status_page.hpp"

namespace mp::pool {

/// The number of a function on a status page: of a plain function by its place in its file, to be looked up by whoever
/// reads it, since that may take milliseconds; of others by their type.
std::uint32_t function_label(trace::StatusPage& page, const void* code, const std::type_info& type);

class Insight {
  public:
    /// Throws SystemError when there is no memory for the page. `memory_limit`: of each worker; 0: none.
    void start(const std::string& name, std::size_t workers, std::uint64_t memory_limit);
    int file() const { return page_.file(); }
    std::size_t size() const { return page_.size(); }
    explicit operator bool() const { return bool(page_); }

    /// The number that workers are given for a callable, or for a call with a label of its own.
    std::uint32_t label(Callable& callable, std::string_view label) {
        return label.empty() && callable.label_number != ~0U ? callable.label_number : find_label(callable, label);
    }

    /// Whether a session has begun or ended since the last look: then leave_session() and
    /// join_session() are due.
    bool session_changed() const { return epoch_ != trace::recording_epoch.load(std::memory_order_relaxed); }
    /// Joins the session that is on, if any.
    void join_session(const std::weak_ptr<trace::Source>& pool);
    bool recording() const { return bool(recorder_); }
    bool takes_part_in(const trace::Recorder& recorder) const { return recorder_.get() == &recorder; }
    /// Tells the session all that is left to tell, and leaves it.
    void leave_session();

    /// Before a worker can write; and when it is there.
    void launching(std::size_t worker) {
        page_.slot(worker).launched_at.store(trace::now(), std::memory_order_relaxed);
    }
    void launched(std::size_t worker, pid_t pid);
    void ready(std::size_t worker);
    /// `task`: what it died in the midst of, with the element of a map where that is known.
    struct Death {
        bool planned = false;
        std::string text{};  // how it ended
        bool at_work = false;
        std::uint64_t element = trace::no_element;
    };
    void gone(std::size_t worker, const LaneMemory& lane, const Death& death);
    /// Work is held back for want of memory, or goes on; `available` bytes are left.
    void paused(bool now, std::uint64_t available);
    void retried(std::size_t worker, std::string task);
    void timed_out(std::size_t worker, std::string task);

    void submitted() { ++submitted_; }
    void mapped(std::uint64_t elements) { elements_ += elements; }
    /// Before the worker can see the task: so whoever sees it run finds it counted.
    void assigning(std::uint64_t assigned) {
        page_.header().assigned.store(assigned, std::memory_order_relaxed);
    }
    /// When there are no more tasks to hand out, or no more workers that have room.
    void publish(std::uint64_t waiting, std::uint64_t assigned) {
        auto& header = page_.header();
        header.waiting.store(waiting, std::memory_order_relaxed);
        header.assigned.store(assigned, std::memory_order_relaxed);
        header.submitted.store(submitted_, std::memory_order_relaxed);
        header.elements.store(elements_, std::memory_order_relaxed);
    }
    /// How many wait, for a session.
    void queue(std::uint64_t waiting) {
        if (recorder_) recorder_->queue(number_, trace::now(), waiting);
    }
    /// Takes what the worker has written down.
    void drain(std::size_t worker, const LaneMemory& lane);

    PoolStats stats() const;

  private:
    std::uint32_t find_label(Callable& callable, std::string_view label);

    std::string name_;
    trace::StatusPage page_;
    std::optional<MemoryLimiter> limiter_;  // of the worker that came last
    std::unordered_map<const void*, std::uint32_t> labels_;  // of callables without a label of their own
    std::string last_label_;                                 // most often asked for again
    std::uint32_t last_label_number_ = 0;
    std::uint64_t submitted_ = 0, elements_ = 0;
    std::uint64_t epoch_ = 0;
    std::shared_ptr<trace::Recorder> recorder_;
    std::size_t number_ = 0;  // of this pool in it
    std::vector<trace::RingReader> readers_;
};

}  // namespace mp::pool
