// What the workers of a pool print, on its way to the caller's standard output and error.
//
// Each worker has two pipes. Whoever has time reads them - the relay's own thread, or a caller that wants to see what its
// task printed - and cuts what comes into lines; lines are written to the caller's streams by one thread at a time, in the
// order in which they were read. Reading never waits and is all that is done on behalf of the pool's lock; writing waits
// for whoever reads the caller's output, and holds up nobody but those who print.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <multiprocessing/pool_options.hpp>

#include "base/expected.hpp"
#include "os/unique_fd.hpp"
#include "pool/flood_gate.hpp"

namespace mp::pool {

class OutputRelay {
  public:
    /// The worker's ends; one that is missing stands for a stream that the caller has closed, or wants nothing of.
    struct Ends {
        std::uint64_t worker = 0;
        os::UniqueFd output, error;
    };

    /// `name`: of the pool, for what the relay says itself. Throws SystemError. Not for Output::inherit.
    OutputRelay(std::string name, Output mode, OutputLimit limit);
    ~OutputRelay();
    OutputRelay(const OutputRelay&) = delete;
    OutputRelay& operator=(const OutputRelay&) = delete;
    /// When all workers have gone: reads and writes what they left behind, and reads no more.
    void finish();
    /// In a fork of the owner, where the thread does not exist.
    void abandon();

    base::Expected<Ends> open(std::string worker_name);

    /// In mode tagged: what the worker's frame `number` is, for lines that come after the worker said that it begins it.
    void name_frame(std::uint64_t worker, std::uint64_t number, std::string text);

    /// A result came of which the worker says that there is output before it.
    void expect() { expected_.fetch_add(1, std::memory_order_release); }
    /// When there was: reads all pipes and writes all lines. What was expected before is written when this returns.
    void settle() {
        if (settled_.load(std::memory_order_acquire) != expected_.load(std::memory_order_acquire)) settle_now();
    }

    /// The worker has died: reads what it left behind, without waiting and without writing. The last lines of its
    /// standard error.
    std::vector<std::string> bury(std::uint64_t worker);

  private:
    struct Channel {
        std::uint64_t worker = 0;
        std::string name;
        int stream = 0;                     // of the caller
        os::UniqueFd fd;
        std::string partial;                // of a line whose end has not come yet
        std::deque<std::string> tail;       // of standard error: its last lines
        FloodGate gate;
        std::map<std::uint64_t, std::string> frames;  // mode tagged: number -> what it is
        std::string tag;
        bool buried = false;                // descendants of the worker may still print
    };
    struct Piece {
        int stream;
        std::string text;
    };

    void run();
    void settle_now();
    bool read_ready(int timeout);
    bool read(Channel& channel);
    void take(Channel& channel, std::string_view bytes);
    void take_line(Channel& channel, std::string_view line);
    void end_line(Channel& channel);
    void queue(Channel& channel, std::string_view line);
    void put(const Channel& channel, std::string_view line, bool own);
    void write_out();
    base::Expected<os::UniqueFd> open_stream(std::uint64_t worker, const std::string& name, int stream);

    const std::string name_;
    const Output mode_;
    const OutputLimit limit_;
    os::UniqueFd ready_;                    // epoll of all pipes, and of stop_
    os::UniqueFd stop_;
    std::atomic<std::uint64_t> expected_{0};  // released by expect(), acquired by settle()
    std::atomic<std::uint64_t> settled_{0};   // released after the lines were written
    std::mutex finishing_;                  // one finish() at a time; taken before the others
    std::mutex writing_;                    // one writes at a time; taken before mutex_
    std::mutex mutex_;                      // guards what follows; held for moments only
    std::uint64_t next_worker_ = 1;
    std::map<std::uint64_t, std::unique_ptr<Channel>> channels_;  // by worker * 2 + (standard error)
    std::vector<Piece> pieces_;
    std::thread thread_;
};

/// What a worker writes into its pipes, in mode tagged, before it begins a task or an element of a map.
std::string frame_mark(std::uint64_t number, std::uint64_t element);

}  // namespace mp::pool
