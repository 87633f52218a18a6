// Collects what pools of this process do while a session records, in bounded memory.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "trace/recording.hpp"
#include "trace/ring.hpp"

namespace mp::trace {

class Recorder;

/// A pool, as the recorder knows it.
class Source {
  public:
    /// Hands over what it has: its last records, labels and statistics. Called at the end of the session, from its
    /// thread.
    virtual void flush(Recorder& recorder) = 0;

  protected:
    ~Source() = default;
};

/// Any thread. While it records, tasks are kept one by one up to `most_spans`; beyond that the shortest neighbours are
/// joined, so that long, failed and crashed ones stay exact however many there are.
class Recorder {
  public:
    static constexpr std::size_t usual_spans = 60'000;
    explicit Recorder(std::size_t most_spans = usual_spans);

    /// The number of a pool that joins in. `before`: its statistics so far.
    std::size_t add_pool(std::string name, pid_t owner, std::size_t workers, PoolStats before,
                         std::weak_ptr<Source> source);
    void span(std::size_t pool, std::size_t worker, const Span& span);
    /// Beginning and end that make no sense are put right or left out: a worker may have written anything.
    void span(std::size_t pool, std::size_t worker, const SpanRecord& record);
    void mark(std::size_t pool, std::size_t worker, Mark mark);
    void queue(std::size_t pool, std::uint64_t at, std::uint64_t waiting);
    void lost(std::size_t pool, std::uint64_t tasks);
    /// The last that is heard of a pool, or the last so far.
    void finish_pool(std::size_t pool, std::vector<std::string> labels, const PoolStats& now);

    std::vector<std::shared_ptr<Source>> sources();
    /// Ends the recording; what comes later is ignored.
    Recording take();

  private:
    void make_room();

    struct Pool {
        PoolStats before;
        std::weak_ptr<Source> source;
        std::uint64_t queue_interval = 1'000'000;
    };

    const std::size_t most_spans_;
    std::mutex mutex_;  // guards what follows
    bool taken_ = false;
    Recording recording_;
    std::vector<Pool> pools_;
    std::size_t spans_ = 0, marks_ = 0;
    std::uint64_t shortest_ = 1'000;  // what make_room joins below, in nanoseconds
};

/// Changes whenever recording begins or ends: a pool compares it with what it saw last.
inline std::atomic<std::uint64_t> recording_epoch{0};

/// The recorder of the session that is on; null without one.
std::shared_ptr<Recorder> active_recorder();
/// Only one session records at a time: false when another does.
bool set_active_recorder(std::shared_ptr<Recorder> recorder);
void clear_active_recorder();

}  // namespace mp::trace
