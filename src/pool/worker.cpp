// The loop of a worker: takes frames, runs tasks, and hands maps to WorkerMap.
#include "pool/worker.hpp"

#include <signal.h>

#include <cstring>

#include <multiprocessing/detail/pool_entry.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/process.hpp>

#include "os/crash_report.hpp"
#include "pool/globals_check.hpp"
#include "pool/lane.hpp"
#include "pool/result_heap.hpp"
#include "pool/task_context.hpp"
#include "pool/task_output.hpp"
#include "pool/worker_callables.hpp"
#include "pool/worker_clock.hpp"
#include "pool/worker_end.hpp"
#include "pool/worker_map.hpp"
#include "pool/worker_notes.hpp"
#include "pool/worker_results.hpp"
#include "pool/worker_share.hpp"
#include "serial/exception_record.hpp"

namespace mp::pool {

namespace {

std::vector<std::byte> record_of_current_exception() {
    return serial::encode_exception(serial::capture_exception(std::current_exception()));
}

class Worker final {
  public:
    explicit Worker(const WorkerStart& start)
        : output_(start.relayed, start.tagged),
          lane_(map(start.lane, start.lane_size)),
          segment_(map(start.segment, start.segment_size)),
          socket_(start.socket),
          doorbell_(start.nudge),
          seed_(start.seed),
          share_(start),
          tasks_(lane_.header().tasks, lane_.tasks()),
          heap_(lane_),
          results_({lane_, *reinterpret_cast<SegmentHeader*>(segment_.data()), socket_, doorbell_}, tasks_, heap_, output_,
                   clock_),
          notes_(lane_, trace::StatusWriter(map(start.status, start.status_size), start.place)),
          map_({segment_, lane_, callables_, notes_, results_, share_}, heap_, start.lane_number, start.seed) {}

    int run(const WorkerStart& start, MemoryLimiter limiter) {
        status().started();
        status().limited(limiter);
        if (checks_globals()) [[unlikely]]
            results_.publish({.kind = ResultFrameKind::globals}, os::contents_of(os::global_variables()), {}, true);
        if (start.initializer && !initialize(start)) return 1;
        share_.begin();
        status().initialized();
        lane_.header().ready.store(1, std::memory_order_release);
        results_.publish({.kind = ResultFrameKind::ready}, {}, {}, true);
        while (true) {
            const auto bytes = tasks_.peek();
            if (!bytes.data()) {
                if (tasks_.broken()) return 255;
                if (share_.is_over()) return planned_exit();
                wait_for_task();
                continue;
            }
            if (share_.is_over()) return planned_exit();
            if (bytes.size() < sizeof(TaskFrame)) return 255;
            TaskFrame frame;
            std::memcpy(&frame, bytes.data(), sizeof frame);
            if (frame.kind == TaskFrameKind::stop) return planned_exit();
            if (frame.kind == TaskFrameKind::task || frame.kind == TaskFrameKind::map) {
                if (!begin(bytes)) {
                    static_cast<void>(take_handles(socket_, frame.handles));
                    tasks_.release();
                    continue;
                }
            }
            handle(frame, bytes.subspan(sizeof frame));
        }
    }

  private:
    static os::Mapping map(const serial::Handle& file, std::uint64_t size) {
        auto mapping = os::Mapping::shared(file.fd(), size);
        if (!mapping) throw SystemError(mapping.error(), "cannot map the pool's memory in a worker");
        return std::move(*mapping);
    }

    trace::StatusWriter& status() { return notes_.status(); }

    // After the exit hooks: what the initializer took is given back before a replacement takes it. Nothing of the lane or of
    // the place's statistics is touched from here on.
    int planned_exit() {
        worker_context().finish();
        lane_.header().planned_end.store(1, std::memory_order_release);
        results_.ring_doorbell();
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
            results_.publish({.kind = ResultFrameKind::init_failed}, record_of_current_exception(), {}, true);
            return false;
        }
    }

    void wait_for_task() {
        const auto begin = clock_.begin();
        status().waits(nanoseconds(begin));
        // Nobody else waits there, and with the caller this process ends.
        shm::wait_until<shm::Ordering::fenced, shm::Sleep::soundly>(lane_.header().task_wake, [&] { return tasks_.ready(); },
                                                                    base::Deadline::never(), patience_, [] { return true; });
        status().waited(nanoseconds_between(begin, clock_.end()));
    }

    // False when the caller has taken the frame back, to give it to a worker that has nothing to do.
    static bool begin(std::span<const std::byte> frame) {
        auto& taken = reinterpret_cast<TaskFrame*>(const_cast<std::byte*>(frame.data()))->taken;
        std::uint32_t open = frame_open;
        return std::atomic_ref(taken).compare_exchange_strong(open, frame_begun, std::memory_order_acq_rel);
    }

    void handle(const TaskFrame& frame, std::span<const std::byte> inline_payload) {
        began_ = clock_.begin();
        lane_.header().started.store(nanoseconds(began_), std::memory_order_relaxed);
        lane_.header().running.store(frame.number, std::memory_order_release);
        if (frame.kind == TaskFrameKind::task || frame.kind == TaskFrameKind::map) output_.begins(frame.number, none);
        const auto payload = frame.payload_at ? segment_.bytes().subspan(frame.payload_at, frame.payload_size)
                                              : inline_payload.first(frame.payload_size);
        switch (frame.kind) {
            case TaskFrameKind::task: run_task(frame, payload); break;
            case TaskFrameKind::map:
                tasks_.release();
                clock_.lose();
                map_.run(frame, began_);
                break;
            case TaskFrameKind::define:
                define(frame, payload);
                tasks_.release();
                break;
            case TaskFrameKind::forget_callable:
                callables_.forget(frame.callable);
                tasks_.release();
                break;
            case TaskFrameKind::forget_callables:
                callables_.forget_all();
                tasks_.release();
                break;
            case TaskFrameKind::forget_job:
                tasks_.release();
                map_.forget(frame.job_at);
                break;
            case TaskFrameKind::stop: break;
        }
        lane_.header().running.store(0, std::memory_order_relaxed);
    }

    // A callable that cannot be made is an error of each task that uses it.
    void define(const TaskFrame& frame, std::span<const std::byte> payload) {
        try {
            const auto handles = take_handles(socket_, frame.handles);
            serial::Reader reader(payload, handles);
            callables_.define(frame.callable, reader);
        } catch (...) {
            callables_.cannot_define(frame.callable, std::current_exception());
        }
    }

    void run_task(const TaskFrame& frame, std::span<const std::byte> payload) {
        alignas(16) std::byte scratch[max_inline];
        serial::Writer writer(scratch);
        const std::uint64_t index = frame.round_at;
        status().begin(nanoseconds(began_), frame.label, index, 1);
        ResultFrame result{.kind = ResultFrameKind::value, .number = frame.number};
        std::vector<std::byte> record;
        try {
            const auto handles = frame.handles ? take_handles(socket_, frame.handles) : std::vector<serial::Handle>();
            serial::Reader reader(payload, handles);
            const WorkerCallable& function = callables_.at(frame.callable);
            detail::PoolCall call{.object = function.object, .reader = &reader, .writer = &writer};
            const TaskScope scope(seed_, frame.job_at, index == none ? 0 : index);
            function.code(call);
        } catch (...) {
            end_when_lost();
            record = record_of_current_exception();
            result.kind = ResultFrameKind::failed;
        }
        const auto ended = clock_.end();
        result.nanoseconds = nanoseconds_between(began_, ended);
        share_.add(1);
        tasks_.release();
        const bool good = result.kind == ResultFrameKind::value;
        if (!good) status().failed();
        notes_.ended(began_, ended, frame.label, index, 1, good ? 0 : 1);
        try {
            if (good) publish_value(result, writer, frame.notify, ended);
            else results_.publish(result, record, {}, frame.notify);
        } catch (...) {
            // No memory for the result: that is this task's error.
            result.kind = ResultFrameKind::failed;
            results_.publish(result, record_of_current_exception(), {}, frame.notify);
        }
    }

    // The time that handing over takes is measured for large results, and for one small one in sixteen.
    void publish_value(const ResultFrame& result, const serial::Writer& writer, bool important, WorkerTime ended) {
        constexpr std::uint64_t one_in = 16;
        const bool large = writer.bytes().size() > max_inline;
        results_.publish(result, writer.bytes(), writer.handles(), important);
        if (!large && share_.done() % one_in != 0) return;
        const auto now = std::chrono::steady_clock::now();
        status().sent(nanoseconds_between(ended, now) * (large ? 1 : one_in));
        if (large) clock_.end_at(now);
    }

    TaskOutput output_;
    LaneMemory lane_;
    os::Mapping segment_;
    serial::Handle socket_;
    serial::Handle doorbell_;
    std::uint64_t seed_;
    WorkerShare share_;
    WorkerClock clock_;
    WorkerTime began_{};  // when the frame at work did
    transport::FrameReader tasks_;
    ResultHeap heap_;
    WorkerResults results_;
    WorkerNotes notes_;
    WorkerCallables callables_;
    WorkerMap map_;
    shm::Patience patience_;
};

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

const detail::EntryRecord& worker_entry() { return detail::entry_record<detail::ProcessEntry, &run_worker>; }

}  // namespace mp::pool
