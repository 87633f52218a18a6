// What a session has seen: plain values, from which the files are written.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <multiprocessing/stats.hpp>

#include "trace/status_page.hpp"

namespace mp::trace {

/// A task or a stretch of elements, or several of them that are too short and too many to be told apart. Times are
/// nanoseconds of the steady clock.
struct Span {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t busy = 0;              // of that time: less than all of it where short gaps were joined over
    std::uint64_t element = no_element;  // the first
    std::uint64_t count = 1;             // tasks or elements
    std::uint64_t failed = 0;
    std::uint32_t label = 0;  // of the status page
    bool crashed = false;     // the worker died in the midst of it
    bool joined = false;      // of several tasks: label and element are the first one's
    bool mixed = false;       // of several labels

    friend bool operator==(const Span&, const Span&) = default;
};

enum class MarkKind : std::uint8_t { started, ready, ended, crashed, retried, timed_out, failed };

/// Something that happened at a moment.
struct Mark {
    std::uint64_t at = 0;
    MarkKind kind{};
    std::string text{};
};
const char* to_string(MarkKind kind);

/// A worker's place in a pool.
struct Track {
    std::vector<Span> spans;
    std::vector<Mark> marks;
};

struct PoolRecording {
    std::string name;
    pid_t owner = 0;
    std::uint64_t started_at = 0;  // the pool, perhaps before the session
    std::vector<Track> tracks;
    std::vector<std::string> labels;  // by number
    struct QueueSample {
        std::uint64_t at;
        std::uint64_t waiting;
    };
    std::vector<QueueSample> queue;
    PoolStats stats;         // of the time of the session
    std::uint64_t lost = 0;  // tasks that were counted but not seen one by one
};

struct Recording {
    std::string program;
    std::chrono::system_clock::time_point wall_clock{};  // at `begin`
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::vector<PoolRecording> pools;
    std::uint64_t forgotten_marks = 0;

    const std::string& label(const PoolRecording& pool, const Span& span) const;
};

/// Joins neighbours that are both shorter than `shortest`, with less than that between them. Failed and crashed ones
/// stay as they are unless `failed_too`. `spans` are in order of time.
void join_short(std::vector<Span>& spans, std::uint64_t shortest, bool failed_too);

/// What happened between two pictures of the same pool.
PoolStats difference(const PoolStats& after, const PoolStats& before);

}  // namespace mp::trace
