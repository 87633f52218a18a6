#include "pool/worker_map.hpp"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "pool/task_context.hpp"
#include "pool/worker_end.hpp"
#include "serial/exception_record.hpp"

namespace mp::pool {

void WorkerMap::run(const TaskFrame& frame, WorkerTime began) {
    const auto& job = *reinterpret_cast<const JobHeader*>(parts_.segment.data() + frame.job_at);
    auto& round = *reinterpret_cast<Round*>(parts_.segment.data() + frame.round_at);
    detail::MapCall call = open(frame, job, round);
    const TaskScope scope(seed_, job.call, 0, call.current);
    const Grouping grouping = job.grouping;

    std::exception_ptr unusable;
    const WorkerCallable* function = nullptr;
    try {
        function = &parts_.callables.at(frame.callable);
    } catch (...) {
        unusable = std::current_exception();
    }
    auto claimed_at = began;
    std::uint64_t elements = 0;
    ChunkSize chunk;
    while (claim(round, chunk, elements, call)) {
        WorkerTime now;
        if (unusable) {
            fail_all(call, unusable);
            now = std::chrono::steady_clock::now();
        } else {
            now = run_claim(*function, call, grouping, frame.label, claimed_at, chunk.mean());
        }
        chunk.learn(call.end - call.begin, nanoseconds_between(claimed_at, now));
        claimed_at = now;
        elements += call.end - call.begin;
        if (call.leave->load(std::memory_order_relaxed) == call.number) break;
        if (parts_.share.is_over(elements)) break;
    }
    parts_.share.add(elements);
    parts_.lane.header().current.store(none, std::memory_order_relaxed);
    parts_.results.publish({.kind = ResultFrameKind::map_left,
                            .number = frame.number,
                            .nanoseconds = nanoseconds_between(began, std::chrono::steady_clock::now()),
                            .elements = elements},
                           {}, {}, true);
}

// What all claims of a round have in common.
detail::MapCall WorkerMap::open(const TaskFrame& frame, const JobHeader& job, const Round& round) {
    std::byte* const segment = parts_.segment.data();
    LaneHeader& header = parts_.lane.header();
    number_ = frame.number;
    if (job.results_at) places_ = segment + job.results_at;
    slabs_.begin(frame.job_at);
    detail::MapCall call;
    if (round.indices_at) call.indices = reinterpret_cast<const std::uint64_t*>(segment + round.indices_at);
    call.inputs = segment + job.inputs_at;
    if (job.input_offsets_at)
        call.input_offsets = reinterpret_cast<const std::uint64_t*>(segment + job.input_offsets_at);
    if (!job.results_encoded) call.results = places_;
    call.states = reinterpret_cast<std::atomic<std::uint8_t>*>(segment + job.states_at);
    call.current = &header.current;
    call.sink = this;
    call.leave = &header.leave;
    call.number = frame.number;
    call.timed = job.timed != 0;
    return call;
}

// Claims the next positions. The claim is written down before the first of them runs; a process that dies between
// the two leaves positions that are open and claimed by nobody, which the caller finds when the round is over.
bool WorkerMap::claim(Round& round, const ChunkSize& chunk, std::uint64_t elements, detail::MapCall& call) {
    std::uint64_t begin = round.next.load(std::memory_order_relaxed);
    std::uint64_t size;
    do {
        if (begin >= round.count) return false;
        const std::uint64_t left = round.count - begin;
        size = parts_.share.most(round.chunk ? std::min(round.chunk, left) : chunk.next(left, round.workers), elements);
    } while (!round.next.compare_exchange_weak(begin, begin + size, std::memory_order_relaxed));
    auto& header = parts_.lane.header();
    header.current.store(none, std::memory_order_relaxed);
    header.claim_begin.store(begin, std::memory_order_relaxed);
    header.claim_end.store(begin + size, std::memory_order_release);
    call.begin = begin;
    call.end = begin + size;
    return true;
}

// Runs what was claimed; returns when it was done. While a session records, elements that are worth it are timed one by
// one.
WorkerTime WorkerMap::run_claim(const WorkerCallable& function, detail::MapCall& call, const Grouping& grouping,
                                std::uint32_t label, WorkerTime begin, std::uint64_t mean) {
    detail::PoolCall pool_call{.object = function.object, .map = &call};
    trace::StatusWriter& status = parts_.notes.status();
    const auto run = [&](WorkerTime from) {
        const std::uint64_t positions = call.end - call.begin;
        const std::uint64_t element = grouping.first(call.indices ? call.indices[call.begin] : call.begin);
        status.begin(nanoseconds(from), label, element, grouping.covered(element, positions));
        failed_ = 0;
        function.code(pool_call);
        const auto now = std::chrono::steady_clock::now();
        if (call.end != call.begin)
            parts_.notes.ended(from, now, label, element, grouping.covered(element, call.end - call.begin), failed_);
        return now;
    };
    return status.recording() && mean >= worth_a_look ? run_one_by_one(call, begin, run) : run(begin);
}

void WorkerMap::fail_all(const detail::MapCall& call, const std::exception_ptr& reason) {
    for (std::uint64_t position = call.begin; position != call.end; ++position) {
        try {
            std::rethrow_exception(reason);
        } catch (...) {
            element_failed(call.indices ? call.indices[position] : position);
        }
    }
}

void WorkerMap::element_failed(std::uint64_t index) noexcept {
    end_when_lost();
    parts_.notes.status().failed();
    ++failed_;
    const auto record = serial::encode_exception(serial::capture_exception(std::current_exception()));
    parts_.results.publish({.kind = ResultFrameKind::element_failed, .number = number_, .element = index}, record, {},
                           false);
}

// Started before current, so that nobody takes one element's time for another's. The caller says `leave` and then looks
// at `current`: either it sees that this one has begun, or this one sees that it must not.
bool WorkerMap::element_begins(const detail::MapCall& call, std::uint64_t index) noexcept {
    auto& header = parts_.lane.header();
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    header.started.store(
        static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec),
        std::memory_order_relaxed);
    header.current.store(index, std::memory_order_seq_cst);
    if (header.leave.load(std::memory_order_seq_cst) != call.number) return true;
    header.current.store(none, std::memory_order_relaxed);
    return false;
}

void WorkerMap::element_encoded(std::uint64_t index, std::span<const std::byte> bytes) {
    const ResultPlace place{slabs_.keep(bytes), bytes.size(), lane_number_};
    std::memcpy(places_ + index * sizeof place, &place, sizeof place);
}

}  // namespace mp::pool
