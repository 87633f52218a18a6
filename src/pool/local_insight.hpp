// What an engine of this process shows of itself: the status page and the part in a recording session that a pool of
// processes has, written by the threads that run its tasks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include <multiprocessing/stats.hpp>

#include "trace/recorder.hpp"
#include "trace/status_page.hpp"

namespace mp::pool {

class LocalInsight final : public trace::Source, public std::enable_shared_from_this<LocalInsight> {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// Throws SystemError when there is no memory for the page.
    LocalInsight(const std::string& name, std::size_t workers);
    LocalInsight(const LocalInsight&) = delete;
    /// A session that goes on has heard all.
    ~LocalInsight() { leave_session(); }

    /// The number of a function, or of a call with a label of its own.
    std::uint32_t label(const void* code, const std::type_info& type);
    std::uint32_t label(std::string_view text);
    /// Under the engine's lock.
    void submitted() { trace::add(page_.header().submitted, 1); }
    void mapped(std::uint64_t elements) { trace::add(page_.header().elements, elements); }
    void queue(std::uint64_t waiting, std::uint64_t running) {
        page_.header().waiting.store(waiting, std::memory_order_relaxed);
        page_.header().assigned.store(running, std::memory_order_relaxed);
    }
    void retried();

    PoolStats stats() const;
    void flush(trace::Recorder& recorder) override;

    /// What one worker does, told by the thread that does it.
    class Work {
      public:
        void started() { writer_.started(); }
        void initialized() { writer_.initialized(); }
        void failed() {
            ++failures_;
            writer_.failed();
        }
        /// Whether somebody wants to see each element.
        bool recording() {
            insight_->look_around();
            return writer_.recording();
        }

      private:
        friend class LocalInsight;
        friend class Stretch;
        LocalInsight* insight_ = nullptr;
        std::size_t number_ = 0;
        trace::StatusWriter writer_;
        std::uint64_t failures_ = 0;
        class Stretch* innermost_ = nullptr;
        Time idle_since_ = std::chrono::steady_clock::now();
    };
    Work& work(std::size_t worker) { return *work_[worker]; }

  private:
    friend class Stretch;
    // Joins a session that has begun, or leaves one that has ended.
    void look_around();
    void leave_session();
    void record(std::size_t worker, const trace::SpanRecord& span);

    const std::string name_;
    trace::StatusPage page_;
    std::vector<std::unique_ptr<Work>> work_;
    std::mutex mutex_;  // guards what follows, and the page's labels
    std::atomic<std::uint64_t> epoch_{0};
    std::shared_ptr<trace::Recorder> recorder_;
    std::size_t number_ = 0;  // of this pool in it
};

/// A task or a stretch of elements while it runs. One that a worker runs while another of its own waits is not counted
/// as that one's time.
class Stretch {
  public:
    Stretch(LocalInsight::Work& work, std::uint32_t label, std::uint64_t element, std::uint64_t count, LocalInsight::Time begin);
    Stretch(const Stretch&) = delete;
    Stretch& operator=(const Stretch&) = delete;
    ~Stretch();

    /// It is over, and so many of its elements were run.
    void end(LocalInsight::Time at, std::uint64_t count);

  private:
    void show() const;

    LocalInsight::Work& work_;
    const std::uint32_t label_;
    const std::uint64_t element_, count_;
    const LocalInsight::Time begin_;
    const std::uint64_t failures_before_;
    Stretch* const outer_;
    LocalInsight::Time end_{};
    std::uint64_t done_ = 0;
    std::chrono::steady_clock::duration inner_{};
};

}  // namespace mp::pool
