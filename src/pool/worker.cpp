#include "pool/worker.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <unordered_map>

#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/process.hpp>

#include "os/crash_report.hpp"
#include "os/private_memory.hpp"
#include "os/retry.hpp"
#include "os/socket.hpp"
#include "pool/chunk_size.hpp"
#include "pool/globals_check.hpp"
#include "pool/lane.hpp"
#include "pool/result_heap.hpp"
#include "pool/task_context.hpp"
#include "pool/task_output.hpp"
#include "pool/worker_end.hpp"
#include "serial/exception_record.hpp"
#include "trace/ring.hpp"
#include "trace/status_page.hpp"

namespace mp::pool {

namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t nanoseconds(Clock::time_point at) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(at.time_since_epoch()).count());
}

std::uint64_t nanoseconds_since(Clock::time_point begin) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(Clock::now() - begin).count());
}

class Worker final : public detail::MapSink {
  public:
    explicit Worker(const WorkerStart& start)
        : output_(start.relayed, start.tagged),
          lane_(map(start.lane, start.lane_size)),
          segment_(map(start.segment, start.segment_size)),
          socket_(start.socket),
          doorbell_(start.nudge),
          lane_number_(start.lane_number),
          max_tasks_(start.max_tasks),
          seed_(start.seed),
          max_age_(static_cast<std::int64_t>(start.max_age)),
          max_growth_(start.max_growth),
          tasks_(lane_.header().tasks, lane_.tasks()),
          results_(lane_.header().results, lane_.results()),
          heap_(lane_),
          status_(map(start.status, start.status_size), start.place) {
        callables_.max_load_factor(0.5F);
    }

    int run(const WorkerStart& start, MemoryLimiter limiter) {
        status_.started();
        status_.limited(limiter);
        if (checks_globals()) [[unlikely]]
            publish({.kind = ResultFrameKind::globals}, os::contents_of(os::global_variables()), {}, true);
        if (start.initializer && !initialize(start)) return 1;
        ready_ = Clock::now();
        if (max_growth_) memory_when_ready_ = os::private_memory();
        status_.initialized();
        lane_.header().ready.store(1, std::memory_order_release);
        publish({.kind = ResultFrameKind::ready}, {}, {}, true);
        while (true) {
            const auto bytes = tasks_.peek();
            if (!bytes.data()) {
                if (tasks_.broken()) return 255;
                if (has_done_its_share()) return planned_exit();
                wait_for_task();
                continue;
            }
            if (has_done_its_share()) return planned_exit();
            if (bytes.size() < sizeof(TaskFrame)) return 255;
            TaskFrame frame;
            std::memcpy(&frame, bytes.data(), sizeof frame);
            if (frame.kind == TaskFrameKind::stop) return planned_exit();
            if (frame.kind == TaskFrameKind::task || frame.kind == TaskFrameKind::map) {
                if (!begin(bytes)) {
                    static_cast<void>(take_handles(frame.handles));
                    tasks_.release();
                    continue;
                }
            }
            handle(frame, bytes.subspan(sizeof frame));
        }
    }

    void element_failed(std::uint64_t index) noexcept override {
        end_when_lost();
        status_.failed();
        ++failed_;
        const auto record = serial::encode_exception(serial::capture_exception(std::current_exception()));
        publish({.kind = ResultFrameKind::element_failed, .number = number_, .element = index}, record, {}, false);
    }

    // Started before current, so that nobody takes one element's time for another's. The caller says `leave` and then looks
    // at `current`: either it sees that this one has begun, or this one sees that it must not.
    bool element_begins(const detail::MapCall& call, std::uint64_t index) noexcept override {
        auto& header = lane_.header();
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        header.started.store(static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec),
                             std::memory_order_relaxed);
        header.current.store(index, std::memory_order_seq_cst);
        if (header.leave.load(std::memory_order_seq_cst) != call.number) return true;
        header.current.store(none, std::memory_order_relaxed);
        return false;
    }

    // Results of a map are encoded into slabs, which are given back together when the map is over. A slab has room for the
    // largest result so far, since most are as large as others.
    std::span<std::byte> room() override {
        if (slab_left_ < largest_result_) take_slab(largest_result_);
        return {lane_.data() + slab_at_, slab_left_};
    }

    void element_encoded(std::uint64_t index, std::span<const std::byte> bytes) override {
        if (bytes.size() > slab_left_) take_slab(bytes.size());
        std::byte* const at = lane_.data() + slab_at_;
        if (at != bytes.data()) std::memcpy(at, bytes.data(), bytes.size());
        const ResultPlace place{slab_at_, bytes.size(), lane_number_};
        std::memcpy(map_results_ + index * sizeof place, &place, sizeof place);
        largest_result_ = std::max<std::uint64_t>(largest_result_, bytes.size());
        constexpr std::uint64_t unit = 16;
        const std::uint64_t taken = std::min(slab_left_, (bytes.size() + unit - 1) & ~(unit - 1));
        slab_at_ += taken;
        slab_left_ -= taken;
    }

  private:
    struct Callable {
        detail::PoolEntry::Signature* code;
        void* object;
    };

    void take_slab(std::uint64_t result) {
        constexpr std::uint64_t least = 256 * 1024, results = 4;
        const std::uint64_t size = result < least / results ? least : result < 64 * least ? results * result : result;
        slab_at_ = heap_.allocate(size);
        slab_left_ = size;
        slabs_[job_].push_back(slab_at_);
    }

    static os::Mapping map(const serial::Handle& file, std::uint64_t size) {
        auto mapping = os::Mapping::shared(file.fd(), size);
        if (!mapping) throw SystemError(mapping.error(), "cannot map the pool's memory in a worker");
        return std::move(*mapping);
    }

    SegmentHeader& segment_header() { return *reinterpret_cast<SegmentHeader*>(segment_.data()); }

    // Only after a task: a limit that is over at once must not keep the pool from working.
    bool has_done_its_share(std::uint64_t more = 0) {
        if (max_tasks_ && done_ + more >= max_tasks_) return true;
        if (done_ + more == 0 || (max_age_.count() == 0 && max_growth_ == 0)) return false;
        const auto now = Clock::now();
        if (max_age_.count() != 0 && now - ready_ > max_age_) return true;
        constexpr std::chrono::milliseconds between_looks{100};
        if (max_growth_ == 0 || now < next_memory_look_) return false;
        next_memory_look_ = now + between_looks;
        return os::private_memory() > memory_when_ready_ + max_growth_;
    }

    // After the exit hooks: what the initializer took is given back before a replacement takes it. Nothing of the lane or of
    // the place's statistics is touched from here on.
    int planned_exit() {
        worker_context().finish();
        lane_.header().planned_end.store(1, std::memory_order_release);
        ring_doorbell();
        return 0;
    }

    bool initialize(const WorkerStart& start) {
        try {
            const auto& entry = detail::resolve<detail::PoolEntry>(*start.initializer);
            serial::Reader state(start.initializer_state, start.initializer_handles);
            detail::PoolCall call{.reader = &state};
            entry.code(call);
            return true;
        } catch (...) {
            end_when_lost();
            const auto record = serial::encode_exception(serial::capture_exception(std::current_exception()));
            publish({.kind = ResultFrameKind::init_failed}, record, {}, true);
            return false;
        }
    }

    void wait_for_task() {
        const auto begin = ended_ ? *ended_ : Clock::now();
        status_.waits(nanoseconds(begin));
        // Nobody else waits there, and with the caller this process ends.
        shm::wait_until<shm::Ordering::fenced, shm::Sleep::soundly>(lane_.header().task_wake, [&] { return tasks_.ready(); },
                                                                    base::Deadline::never(), patience_, [] { return true; });
        ended_ = Clock::now();
        status_.waited(nanoseconds(*ended_) - nanoseconds(begin));
    }

    // A task or a stretch of elements has ended: for statistics, and for a session that records.
    void note(Clock::time_point begin, Clock::time_point end, std::uint32_t label, std::uint64_t element, std::uint64_t count,
              std::uint64_t failed) {
        if (count == 0) return;
        status_.end(nanoseconds(begin), nanoseconds(end), label, element, count);
        if (status_.recording()) [[unlikely]]
            trace::write(lane_.recorded(), {nanoseconds(begin), nanoseconds(end), element, count, label,
                                            static_cast<std::uint32_t>(failed)});
    }

    // False when the caller has taken the frame back, to give it to a worker that has nothing to do.
    static bool begin(std::span<const std::byte> frame) {
        auto& taken = reinterpret_cast<TaskFrame*>(const_cast<std::byte*>(frame.data()))->taken;
        std::uint32_t open = frame_open;
        return std::atomic_ref(taken).compare_exchange_strong(open, frame_begun, std::memory_order_acq_rel);
    }

    void handle(const TaskFrame& frame, std::span<const std::byte> inline_payload) {
        number_ = frame.number;
        // One look at the clock a task: the end of one is the beginning of the next, unless there was a wait between.
        began_ = ended_ ? *ended_ : Clock::now();
        lane_.header().started.store(static_cast<std::uint64_t>(began_.time_since_epoch().count()), std::memory_order_relaxed);
        lane_.header().running.store(number_, std::memory_order_release);
        if (frame.kind == TaskFrameKind::task || frame.kind == TaskFrameKind::map) output_.begins(number_, none);
        const auto payload = frame.payload_at ? segment_.bytes().subspan(frame.payload_at, frame.payload_size)
                                              : inline_payload.first(frame.payload_size);
        switch (frame.kind) {
            case TaskFrameKind::define: define(frame, payload); break;
            case TaskFrameKind::forget_callable: forget_callable(frame.callable); break;
            case TaskFrameKind::forget_callables: forget_callables(); break;
            case TaskFrameKind::task: run_task(frame, payload); break;
            case TaskFrameKind::map: run_map(frame); break;
            case TaskFrameKind::forget_job: forget_job(frame.job_at); break;
            case TaskFrameKind::stop: break;
        }
        lane_.header().running.store(0, std::memory_order_relaxed);
    }

    std::vector<serial::Handle> take_handles(std::size_t count) {
        std::vector<serial::Handle> handles;
        std::byte nothing;
        while (handles.size() < count) {
            auto received = os::receive_message(socket_.fd(), std::span(&nothing, 1));
            if (!received) throw SystemError(received.error(), "cannot receive the descriptors of a task");
            if (received->descriptors.empty()) throw Closed("cannot receive the descriptors of a task: the pool is gone");
            for (auto& fd : received->descriptors) handles.emplace_back(fd.release());
        }
        return handles;
    }

    // A callable that cannot be made is an error of each task that uses it.
    void define(const TaskFrame& frame, std::span<const std::byte> payload) {
        Callable& callable = callables_[frame.callable];
        callable = {};
        try {
            const auto handles = take_handles(frame.handles);
            serial::Reader reader(payload, handles);
            const auto id = serial::decode<detail::EntryId>(reader);
            const auto& entry = detail::resolve<detail::PoolEntry>(id);
            detail::PoolCall call{.step = detail::PoolCall::Step::make, .reader = &reader};
            entry.code(call);
            callable = {entry.code, call.object};
        } catch (...) {
            broken_callables_[frame.callable] = std::current_exception();
        }
        tasks_.release();
    }

    static void drop(const Callable& callable) {
        if (!callable.code) return;
        detail::PoolCall call{.step = detail::PoolCall::Step::drop, .object = callable.object};
        callable.code(call);
    }

    void forget_callable(std::uint32_t number) {
        if (const auto found = callables_.find(number); found != callables_.end()) {
            drop(found->second);
            callables_.erase(found);
        }
        broken_callables_.erase(number);
        tasks_.release();
    }

    void forget_callables() {
        for (const auto& [number, callable] : callables_) drop(callable);
        callables_.clear();
        broken_callables_.clear();
        tasks_.release();
    }

    const Callable& callable(std::uint32_t number) {
        if (const auto broken = broken_callables_.find(number); broken != broken_callables_.end())
            std::rethrow_exception(broken->second);
        return callables_.at(number);
    }

    void run_task(const TaskFrame& frame, std::span<const std::byte> payload) {
        alignas(16) std::byte scratch[max_inline];
        serial::Writer writer(scratch);
        const std::uint64_t index = frame.round_at;
        status_.begin(nanoseconds(began_), frame.label, index, 1);
        ResultFrame result{.kind = ResultFrameKind::value, .number = frame.number};
        std::vector<std::byte> record;
        try {
            const auto handles = frame.handles ? take_handles(frame.handles) : std::vector<serial::Handle>();
            serial::Reader reader(payload, handles);
            const Callable& function = callable(frame.callable);
            detail::PoolCall call{.object = function.object, .reader = &reader, .writer = &writer};
            const TaskScope scope(seed_, frame.job_at, index == none ? 0 : index);
            function.code(call);
        } catch (...) {
            end_when_lost();
            record = serial::encode_exception(serial::capture_exception(std::current_exception()));
            result.kind = ResultFrameKind::failed;
        }
        ended_ = Clock::now();
        result.nanoseconds = static_cast<std::uint64_t>(std::chrono::nanoseconds(*ended_ - began_).count());
        ++done_;
        tasks_.release();
        const bool good = result.kind == ResultFrameKind::value;
        if (!good) status_.failed();
        note(began_, *ended_, frame.label, index, 1, good ? 0 : 1);
        try {
            if (good) publish_value(result, writer, frame.notify);
            else publish(result, record, {}, frame.notify);
        } catch (...) {
            // No memory for the result: that is this task's error.
            record = serial::encode_exception(serial::capture_exception(std::current_exception()));
            result.kind = ResultFrameKind::failed;
            publish(result, record, {}, frame.notify);
        }
    }

    // The time that handing over takes is measured for large results, and for one small one in sixteen.
    void publish_value(const ResultFrame& result, const serial::Writer& writer, bool important) {
        constexpr std::uint64_t one_in = 16;
        const bool large = writer.bytes().size() > max_inline;
        if (!large && done_ % one_in != 0) {
            publish(result, writer.bytes(), writer.handles(), important);
            return;
        }
        publish(result, writer.bytes(), writer.handles(), important);
        const auto now = Clock::now();
        status_.sent((nanoseconds(now) - nanoseconds(*ended_)) * (large ? 1 : one_in));
        if (large) ended_ = now;
    }

    void run_map(const TaskFrame& frame) {
        const auto& job = *reinterpret_cast<const JobHeader*>(segment_.data() + frame.job_at);
        auto& round = *reinterpret_cast<Round*>(segment_.data() + frame.round_at);
        tasks_.release();
        ended_.reset();
        detail::MapCall call;
        if (round.indices_at) call.indices = reinterpret_cast<const std::uint64_t*>(segment_.data() + round.indices_at);
        call.inputs = segment_.data() + job.inputs_at;
        if (job.input_offsets_at)
            call.input_offsets = reinterpret_cast<const std::uint64_t*>(segment_.data() + job.input_offsets_at);
        if (job.results_at) map_results_ = segment_.data() + job.results_at;
        if (!job.results_encoded) call.results = map_results_;
        call.states = reinterpret_cast<std::atomic<std::uint8_t>*>(segment_.data() + job.states_at);
        call.current = &lane_.header().current;
        call.sink = this;
        const TaskScope scope(seed_, job.call, 0, call.current);
        call.leave = &lane_.header().leave;
        call.number = frame.number;
        call.timed = job.timed != 0;
        job_ = frame.job_at;
        slab_left_ = 0;
        largest_result_ = 512;

        const Grouping grouping = job.grouping;
        auto claimed_at = began_;
        std::uint64_t elements = 0;
        ChunkSize chunk;
        std::exception_ptr unusable;
        const Callable* function = nullptr;
        try {
            function = &callable(frame.callable);
        } catch (...) {
            unusable = std::current_exception();
        }
        while (claim(round, chunk, elements, call)) {
            Clock::time_point now;
            if (unusable) {
                fail_all(call, unusable);
                now = Clock::now();
            } else {
                now = run_claim(*function, call, grouping, frame.label, claimed_at, chunk.mean());
            }
            chunk.learn(call.end - call.begin, static_cast<std::uint64_t>(std::chrono::nanoseconds(now - claimed_at).count()));
            claimed_at = now;
            elements += call.end - call.begin;
            if (call.leave->load(std::memory_order_relaxed) == call.number) break;
            if (has_done_its_share(elements)) break;
        }
        done_ += elements;
        lane_.header().current.store(none, std::memory_order_relaxed);
        publish({.kind = ResultFrameKind::map_left, .number = frame.number, .nanoseconds = nanoseconds_since(began_),
                 .elements = elements}, {}, {}, true);
    }

    // Runs what was claimed; returns when it was done. While a session records, elements that are worth it are timed one by
    // one.
    Clock::time_point run_claim(const Callable& function, detail::MapCall& call, const Grouping& grouping,
                                std::uint32_t label, Clock::time_point begin, std::uint64_t mean) {
        detail::PoolCall pool_call{.object = function.object, .map = &call};
        const auto run = [&](Clock::time_point from) {
            const std::uint64_t positions = call.end - call.begin;
            const std::uint64_t element = grouping.first(call.indices ? call.indices[call.begin] : call.begin);
            status_.begin(nanoseconds(from), label, element, grouping.covered(element, positions));
            failed_ = 0;
            function.code(pool_call);
            const auto now = Clock::now();
            if (call.end != call.begin)
                note(from, now, label, element, grouping.covered(element, call.end - call.begin), failed_);
            return now;
        };
        return status_.recording() && mean >= worth_a_look ? run_one_by_one(call, begin, run) : run(begin);
    }

    // Claims the next positions. The claim is written down before the first of them runs; a process that dies between
    // the two leaves positions that are open and claimed by nobody, which the caller finds when the round is over.
    bool claim(Round& round, const ChunkSize& chunk, std::uint64_t elements, detail::MapCall& call) {
        std::uint64_t begin = round.next.load(std::memory_order_relaxed);
        std::uint64_t size;
        do {
            if (begin >= round.count) return false;
            const std::uint64_t left = round.count - begin;
            size = round.chunk ? std::min(round.chunk, left) : chunk.next(left, round.workers);
            if (max_tasks_) size = std::min(size, std::max<std::uint64_t>(1, max_tasks_ - std::min(done_ + elements, max_tasks_)));
        } while (!round.next.compare_exchange_weak(begin, begin + size, std::memory_order_relaxed));
        auto& header = lane_.header();
        header.current.store(none, std::memory_order_relaxed);
        header.claim_begin.store(begin, std::memory_order_relaxed);
        header.claim_end.store(begin + size, std::memory_order_release);
        call.begin = begin;
        call.end = begin + size;
        return true;
    }

    void fail_all(const detail::MapCall& call, const std::exception_ptr& reason) {
        for (std::uint64_t position = call.begin; position != call.end; ++position) {
            try {
                std::rethrow_exception(reason);
            } catch (...) {
                element_failed(call.indices ? call.indices[position] : position);
            }
        }
    }

    void forget_job(std::uint64_t job) {
        tasks_.release();
        const auto found = slabs_.find(job);
        if (found == slabs_.end()) return;
        for (const std::uint64_t slab : found->second) heap_.release(slab);
        slabs_.erase(found);
    }

    // Sends a frame. `important`: the caller should look now, asleep or not.
    void publish(ResultFrame frame, std::span<const std::byte> payload, std::span<const serial::Handle> handles,
                 bool important) {
        frame.payload_size = payload.size();
        std::size_t inline_size = payload.size();
        if (payload.size() > max_inline) {
            frame.payload_at = heap_.allocate(payload.size());
            std::memcpy(lane_.data() + frame.payload_at, payload.data(), payload.size());
            inline_size = 0;
        }
        frame.printed = output_.flush();
        frame.handles = static_cast<std::uint32_t>(handles.size()) & 0x7fffffff;
        send_handles(handles);
        std::byte* place = reserve(sizeof frame + inline_size);
        std::memcpy(place, &frame, sizeof frame);
        if (inline_size) std::memcpy(place + sizeof frame, payload.data(), inline_size);
        results_.commit();
        const bool idle = !tasks_.ready();
        if (important || idle || frame.number >= lane_.header().awaited.load(std::memory_order_relaxed))
            shm::notify<shm::Ordering::fenced>(segment_header().caller_wake);
        if (idle) nudge();
    }

    std::byte* reserve(std::size_t size) {
        std::byte* place = results_.reserve(size);
        if (place) return place;
        // Whoever waits, or else the pool's own thread, empties the ring.
        ended_.reset();
        call_for_help();
        shm::wait_until<shm::Ordering::fenced>(lane_.header().result_room,
                                               [&] { return (place = results_.reserve(size)) != nullptr; },
                                               base::Deadline::never(), patience_, [&] {
                                                   call_for_help();
                                                   return true;
                                               });
        return place;
    }

    void call_for_help() {
        segment_header().nudge.store(1, std::memory_order_relaxed);
        shm::notify<shm::Ordering::fenced>(segment_header().caller_wake);
        nudge();
    }

    // Calls the pool's own thread, when it wants that: nobody else may be there to hand out tasks.
    void nudge() {
        if (segment_header().nudge.load(std::memory_order_relaxed) &&
            segment_header().nudge.exchange(0, std::memory_order_relaxed))
            ring_doorbell();
    }

    void ring_doorbell() {
        const std::uint64_t one = 1;
        static_cast<void>(!::write(doorbell_.fd(), &one, sizeof one));
    }

    void send_handles(std::span<const serial::Handle> handles) {
        constexpr std::size_t batch = os::max_descriptors_a_message;
        for (std::size_t sent = 0; sent < handles.size(); sent += batch) {
            std::vector<int> fds;
            for (const auto& handle : handles.subspan(sent, std::min(batch, handles.size() - sent))) fds.push_back(handle.fd());
            const std::byte something{1};
            if (auto done = os::send_message(socket_.fd(), std::span(&something, 1), fds); !done)
                throw SystemError(done.error(), "cannot send the descriptors of a result");
        }
    }

    TaskOutput output_;
    LaneMemory lane_;
    os::Mapping segment_;
    serial::Handle socket_;
    serial::Handle doorbell_;
    std::uint64_t lane_number_;
    std::uint64_t max_tasks_;
    std::uint64_t seed_;
    std::chrono::nanoseconds max_age_;
    std::uint64_t max_growth_;
    Clock::time_point ready_{};
    std::uint64_t memory_when_ready_ = 0;
    Clock::time_point next_memory_look_{};
    transport::FrameReader tasks_;
    transport::FrameWriter results_;
    ResultHeap heap_;
    trace::StatusWriter status_;
    std::uint64_t failed_ = 0;              // elements of the stretch at work
    shm::Patience patience_;
    std::unordered_map<std::uint32_t, Callable> callables_;
    std::unordered_map<std::uint32_t, std::exception_ptr> broken_callables_;
    Clock::time_point began_{};               // when the frame at work did
    std::optional<Clock::time_point> ended_;  // when the last task did, if there was no wait since
    std::uint64_t done_ = 0;                // tasks and elements, for max_tasks_
    std::uint64_t number_ = 0;              // of the frame at work
    std::byte* map_results_ = nullptr;      // of the map at work, as its slabs below
    std::uint64_t job_ = 0;
    std::uint64_t slab_at_ = 0;
    std::uint64_t slab_left_ = 0;
    std::uint64_t largest_result_ = 0;
    std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> slabs_;  // job -> its blocks
};

WorkerStart decode_worker_start(serial::Reader& reader) {
    WorkerStart start;
    start.lane = reader.take_handle();
    start.segment = reader.take_handle();
    start.socket = reader.take_handle();
    start.nudge = reader.take_handle();
    start.status = reader.take_handle();
    if (serial::decode<bool>(reader)) start.memory_group = reader.take_handle();
    start.memory_limit = serial::decode<std::uint64_t>(reader);
    start.relayed = serial::decode<bool>(reader);
    start.tagged = serial::decode<bool>(reader);
    start.lane_size = serial::decode<std::uint64_t>(reader);
    start.segment_size = serial::decode<std::uint64_t>(reader);
    start.status_size = serial::decode<std::uint64_t>(reader);
    start.place = serial::decode<std::uint64_t>(reader);
    start.lane_number = serial::decode<std::uint64_t>(reader);
    start.max_tasks = serial::decode<std::uint64_t>(reader);
    start.seed = serial::decode<std::uint64_t>(reader);
    start.max_age = serial::decode<std::uint64_t>(reader);
    start.max_growth = serial::decode<std::uint64_t>(reader);
    if (serial::decode<bool>(reader)) start.initializer = serial::decode<detail::EntryId>(reader);
    start.initializer_state = serial::decode<std::vector<std::byte>>(reader);
    for (auto count = serial::decode<std::uint64_t>(reader); count > 0; --count)
        start.initializer_handles.push_back(reader.take_handle());
    reader.finish();
    return start;
}

int run_worker(serial::Reader& reader) {
    // Ctrl-C is for the caller, who decides what becomes of the workers. A handler that does nothing, not SIG_IGN, which
    // programs started by a task would inherit.
    struct sigaction nothing {};
    nothing.sa_handler = [](int) {};
    nothing.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &nothing, nullptr);
    WorkerStart start = decode_worker_start(reader);
    auto limiter = MemoryLimiter::none;
    if (start.memory_limit) limiter = limit_memory(start.memory_limit, std::exchange(start.memory_group, {}));
    os::notify_of_crashes(start.nudge.fd());
    // On the heap and never destroyed: a task may call exit() in the midst of it. Static: in reach of leak checkers.
    static auto* const worker = new Worker(start);  // NOLINT(cppcoreguidelines-owning-memory)
    return worker->run(start, limiter);
}

}  // namespace

void encode_worker_start(serial::Writer& writer, const WorkerStart& start) {
    for (const auto* handle : {&start.lane, &start.segment, &start.socket, &start.nudge, &start.status}) writer.attach(*handle);
    serial::encode(writer, start.memory_group.has_value());
    if (start.memory_group) writer.attach(*start.memory_group);
    serial::encode(writer, start.memory_limit);
    serial::encode(writer, start.relayed);
    serial::encode(writer, start.tagged);
    serial::encode(writer, start.lane_size);
    serial::encode(writer, start.segment_size);
    serial::encode(writer, start.status_size);
    serial::encode(writer, start.place);
    serial::encode(writer, start.lane_number);
    serial::encode(writer, start.max_tasks);
    serial::encode(writer, start.seed);
    serial::encode(writer, start.max_age);
    serial::encode(writer, start.max_growth);
    serial::encode(writer, start.initializer.has_value());
    if (start.initializer) serial::encode(writer, *start.initializer);
    serial::encode(writer, start.initializer_state);
    serial::encode(writer, std::uint64_t(start.initializer_handles.size()));
    for (const auto& handle : start.initializer_handles) writer.attach(handle);
}

const detail::EntryRecord& worker_entry() { return detail::entry_record<detail::ProcessEntry, &run_worker>; }

}  // namespace mp::pool

namespace mp::detail {

bool map_element_begins(MapCall& call, std::uint64_t index) noexcept {
    return call.sink->element_begins(call, index);
}

void map_element_failed(MapCall& call, std::uint64_t index) noexcept {
    call.sink->element_failed(index);
}

std::span<std::byte> map_result_room(MapCall& call) { return call.sink->room(); }

void map_element_encoded(MapCall& call, std::uint64_t index, const serial::Writer& result) {
    if (!result.handles().empty())
        throw SerializationError("a result of map holds a handle (a Queue, a Pipe end, …): return it from submit instead");
    call.sink->element_encoded(index, result.bytes());
}

}  // namespace mp::detail
