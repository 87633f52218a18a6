#include "pool/insight.hpp"

#include <unistd.h>

#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/errors.hpp>

#include "os/function_name.hpp"
#include "os/log.hpp"
#include "os/raw_stack.hpp"

namespace mp::pool {

void Insight::start(const std::string& name, std::size_t workers, std::uint64_t memory_limit) {
    auto page = trace::StatusPage::make(name, workers, cpu_count());
    if (!page) throw SystemError(page.error(), "cannot make the status page of pool \"" + name + '"');
    page_ = std::move(*page);
    page_.header().memory_limit.store(memory_limit, std::memory_order_relaxed);
    name_ = name;
    if (os::logs(LogLevel::info))
        os::LogLine(LogLevel::info, "pool.started").add("pool", name_).add("workers", workers);
    readers_.resize(workers);
}

std::uint32_t function_label(trace::StatusPage& page, const void* code, const std::type_info& type) {
    if (!code) return static_cast<std::uint32_t>(page.label(os::type_name(type)));
    const auto address = reinterpret_cast<std::uintptr_t>(code);
    const os::RawStack place = os::locate(&address, 1);
    if (place.modules.empty() || place.frames.front().module >= place.modules.size()) return 0;
    const auto& module = place.modules[place.frames.front().module];
    return static_cast<std::uint32_t>(
        page.label(trace::StatusPage::Place{module.path, module.build_id, place.frames.front().offset}));
}

std::uint32_t Insight::find_label(Callable& callable, std::string_view label) {
    if (!label.empty()) {
        if (label != last_label_) {
            last_label_number_ = static_cast<std::uint32_t>(page_.label(label));
            last_label_ = label;
        }
        return last_label_number_;
    }
    const void* const key = callable.code ? callable.code : static_cast<const void*>(callable.type);
    const auto found = labels_.find(key);
    callable.label_number =
        found != labels_.end()
            ? found->second
            : labels_.emplace(key, function_label(page_, callable.code, *callable.type)).first->second;
    return callable.label_number;
}

void Insight::join_session(const std::weak_ptr<trace::Source>& pool) {
    epoch_ = trace::recording_epoch.load(std::memory_order_acquire);
    recorder_ = trace::active_recorder();
    page_.header().recording.store(recorder_ ? 1 : 0, std::memory_order_relaxed);
    if (!recorder_) return;
    number_ = recorder_->add_pool(name_, ::getpid(), readers_.size(), stats(), pool);
}

void Insight::leave_session() {
    if (!recorder_) return;
    recorder_->finish_pool(number_, trace::read_labels(page_.bytes()), stats());
    recorder_.reset();
    page_.header().recording.store(0, std::memory_order_relaxed);
}

void Insight::launched(std::size_t worker, pid_t pid) {
    auto& slot = page_.slot(worker);
    readers_[worker] = {};
    slot.pid.store(static_cast<std::uint64_t>(pid), std::memory_order_relaxed);
    trace::add(slot.launches, 1);
    const std::uint64_t at = slot.launched_at.load(std::memory_order_relaxed);
    if (os::logs(LogLevel::info))
        os::LogLine(LogLevel::info, "worker.started").add("pool", name_).add("worker", worker + 1).add("child", pid);
    if (recorder_) recorder_->mark(number_, worker, {at, trace::MarkKind::started, "process " + std::to_string(pid)});
}

void Insight::ready(std::size_t worker) {
    if (os::logs(LogLevel::info))
        os::LogLine(LogLevel::info, "worker.ready").add("pool", name_).add("worker", worker + 1);
    if (recorder_) recorder_->mark(number_, worker, {trace::now(), trace::MarkKind::ready, {}});
    const std::uint64_t limit = page_.header().memory_limit.load(std::memory_order_relaxed);
    const auto limiter = trace::memory_limiter(page_.slot(worker));
    if (limit == 0 || !limiter || limiter == limiter_) return;
    limiter_ = limiter;
    const LogLevel level = *limiter == MemoryLimiter::none ? LogLevel::warning : LogLevel::info;
    if (os::logs(level))
        os::LogLine(level, "pool.memory_limited")
            .add("pool", name_)
            .add("worker", worker + 1)
            .add("bytes", limit)
            .add("by", to_string(*limiter));
}

void Insight::gone(std::size_t worker, const LaneMemory& lane, const Death& death) {
    auto& slot = page_.slot(worker);
    drain(worker, lane);
    const std::uint64_t at = trace::now();
    const std::uint64_t begin = slot.since.load(std::memory_order_relaxed);
    const bool worked = slot.state.load(std::memory_order_relaxed) == static_cast<std::uint64_t>(WorkerState::working);
    if (death.at_work && worked && at > begin) {
        // Nobody else is left to write down the time of its last task.
        trace::add(slot.worked, at - begin);
        trace::add(slot.tasks, 1);
        trace::add(slot.failed, 1);
    }
    slot.pid.store(0, std::memory_order_relaxed);
    slot.state.store(static_cast<std::uint64_t>(WorkerState::starting), std::memory_order_relaxed);
    if (!death.planned) trace::add(page_.header().crashes, 1);
    const LogLevel level = death.planned ? LogLevel::info : LogLevel::warning;
    if (os::logs(level))
        os::LogLine(level, death.planned ? "worker.ended" : "worker.died")
            .add("pool", name_)
            .add("worker", worker + 1)
            .add("how", death.text);
    if (!recorder_) return;
    std::string text = death.text;
    if (death.at_work && worked && at > begin) {
        const auto label = slot.label.load(std::memory_order_relaxed);
        // Of a task in a stream nobody else knows.
        const auto element = death.element == trace::no_element ? slot.element.load(std::memory_order_relaxed) : death.element;
        trace::Span span;
        span.begin = begin;
        span.end = at;
        span.busy = at - begin;
        span.element = element;
        span.failed = 1;
        span.label = static_cast<std::uint32_t>(label);
        span.crashed = true;
        recorder_->span(number_, worker, span);
        const auto labels = trace::read_labels(page_.bytes());
        const TaskTime task{
            .label = label < labels.size() ? labels[label] : "task",
            .element = element == trace::no_element ? std::nullopt : std::optional(element)};
        text = task.name() + ": " + text;
    }
    recorder_->mark(number_, worker,
                    {at, death.planned ? trace::MarkKind::ended : trace::MarkKind::crashed, std::move(text)});
}

void Insight::paused(bool now, std::uint64_t available) {
    auto& header = page_.header();
    header.short_of_memory.store(now, std::memory_order_relaxed);
    if (now) trace::add(header.memory_pauses, 1);
    const LogLevel level = now ? LogLevel::warning : LogLevel::info;
    if (os::logs(level))
        os::LogLine(level, now ? "pool.paused" : "pool.resumed").add("pool", name_).add("available_bytes", available);
}

void Insight::retried(std::size_t worker, std::string task) {
    trace::add(page_.header().retried, 1);
    if (os::logs(LogLevel::info)) os::LogLine(LogLevel::info, "task.retried").add("pool", name_).add("task", task);
    if (recorder_) recorder_->mark(number_, worker, {trace::now(), trace::MarkKind::retried, std::move(task)});
}

void Insight::timed_out(std::size_t worker, std::string task) {
    trace::add(page_.header().timeouts, 1);
    if (os::logs(LogLevel::warning))
        os::LogLine(LogLevel::warning, "task.timed_out").add("pool", name_).add("task", task);
    if (recorder_) recorder_->mark(number_, worker, {trace::now(), trace::MarkKind::timed_out, std::move(task)});
}

void Insight::drain(std::size_t worker, const LaneMemory& lane) {
    if (!recorder_) return;
    const auto lost = readers_[worker].read(
        lane.recorded(), [&](const trace::SpanRecord& record) { recorder_->span(number_, worker, record); });
    if (lost > 0) recorder_->lost(number_, lost);
}

PoolStats Insight::stats() const {
    auto stats = trace::read_status(page_.bytes(), trace::now());
    return stats ? std::move(*stats) : PoolStats();
}

}  // namespace mp::pool
