#include "trace/recorder.hpp"

#include <algorithm>
#include <fstream>

namespace mp::trace {
namespace {

constexpr std::size_t most_marks = 20'000;
constexpr std::size_t most_samples = 4'000;

// What is recorded, and by whom: one fact about the whole process.
struct Active {
    std::mutex mutex;
    std::shared_ptr<Recorder> recorder;
};
Active& active() {
    static auto* const only = new Active;  // NOLINT(cppcoreguidelines-owning-memory): threads may ask to the very end
    return *only;
}

std::string own_command_line() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    std::string text(512, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    while (!text.empty() && text.back() == '\0') text.pop_back();
    std::ranges::replace(text, '\0', ' ');
    return text;
}

}  // namespace

std::shared_ptr<Recorder> active_recorder() {
    const std::lock_guard guard(active().mutex);
    return active().recorder;
}

bool set_active_recorder(std::shared_ptr<Recorder> recorder) {
    const std::lock_guard guard(active().mutex);
    if (active().recorder) return false;
    active().recorder = std::move(recorder);
    recording_epoch.fetch_add(1, std::memory_order_release);
    return true;
}

void clear_active_recorder() {
    const std::lock_guard guard(active().mutex);
    active().recorder.reset();
    recording_epoch.fetch_add(1, std::memory_order_release);
}

Recorder::Recorder(std::size_t most_spans) : most_spans_(most_spans) {
    recording_.program = own_command_line();
    recording_.wall_clock = std::chrono::system_clock::now();
    recording_.begin = now();
}

std::size_t Recorder::add_pool(std::string name, pid_t owner, std::size_t workers, PoolStats before,
                               std::weak_ptr<Source> source) {
    const std::lock_guard guard(mutex_);
    PoolRecording pool;
    pool.name = std::move(name);
    pool.owner = owner;
    pool.started_at = now() - static_cast<std::uint64_t>(before.elapsed.count());
    pool.tracks.resize(workers);
    recording_.pools.push_back(std::move(pool));
    pools_.push_back({std::move(before), std::move(source)});
    return pools_.size() - 1;
}

void Recorder::span(std::size_t pool, std::size_t worker, const Span& span) {
    const std::lock_guard guard(mutex_);
    if (taken_) return;
    recording_.pools[pool].tracks[worker].spans.push_back(span);
    if (++spans_ > most_spans_) make_room();
}

void Recorder::span(std::size_t pool, std::size_t worker, const SpanRecord& record) {
    const std::uint64_t at = now();
    if (record.end < record.begin || record.end > at || record.count == 0) return;
    // What began before the session is seen from its beginning on.
    if (record.end < recording_.begin) return;
    Span seen;
    seen.begin = std::max(record.begin, recording_.begin);
    seen.end = record.end;
    seen.busy = seen.end - seen.begin;
    seen.element = record.element;
    seen.count = record.count;
    seen.failed = std::min<std::uint64_t>(record.failed, record.count);
    seen.label = record.label;
    span(pool, worker, seen);
}

// Half of them must go, so that this is rare.
void Recorder::make_room() {
    std::size_t failed = 0;
    for (const auto& pool : recording_.pools)
        for (const auto& track : pool.tracks)
            failed += static_cast<std::size_t>(
                std::ranges::count_if(track.spans, [](const Span& span) { return span.failed > 0; }));
    const bool failed_too = failed > most_spans_ / 4;
    while (spans_ > most_spans_ / 2 && shortest_ < (std::uint64_t(1) << 62)) {
        spans_ = 0;
        for (auto& pool : recording_.pools)
            for (auto& track : pool.tracks) {
                join_short(track.spans, shortest_, failed_too);
                spans_ += track.spans.size();
            }
        if (spans_ > most_spans_ / 2) shortest_ *= 2;
    }
}

void Recorder::mark(std::size_t pool, std::size_t worker, Mark mark) {
    const std::lock_guard guard(mutex_);
    if (taken_) return;
    if (++marks_ > most_marks) {
        ++recording_.forgotten_marks;
        return;
    }
    recording_.pools[pool].tracks[worker].marks.push_back(std::move(mark));
}

void Recorder::queue(std::size_t pool, std::uint64_t at, std::uint64_t waiting) {
    const std::lock_guard guard(mutex_);
    if (taken_) return;
    auto& samples = recording_.pools[pool].queue;
    if (!samples.empty() && (samples.back().waiting == waiting || at < samples.back().at + pools_[pool].queue_interval))
        return;
    samples.push_back({at, waiting});
    if (samples.size() <= most_samples) return;
    for (std::size_t i = 0; i < samples.size() / 2; ++i) samples[i] = samples[2 * i];
    samples.resize(samples.size() / 2);
    pools_[pool].queue_interval *= 2;
}

void Recorder::lost(std::size_t pool, std::uint64_t tasks) {
    const std::lock_guard guard(mutex_);
    if (!taken_) recording_.pools[pool].lost += tasks;
}

void Recorder::finish_pool(std::size_t pool, std::vector<std::string> labels, const PoolStats& at_end) {
    const std::lock_guard guard(mutex_);
    if (taken_) return;
    recording_.pools[pool].labels = std::move(labels);
    recording_.pools[pool].stats = difference(at_end, pools_[pool].before);
}

std::vector<std::shared_ptr<Source>> Recorder::sources() {
    const std::lock_guard guard(mutex_);
    std::vector<std::shared_ptr<Source>> list;
    for (const Pool& pool : pools_)
        if (auto source = pool.source.lock()) list.push_back(std::move(source));
    return list;
}

Recording Recorder::take() {
    const std::lock_guard guard(mutex_);
    taken_ = true;
    recording_.end = now();
    for (auto& pool : recording_.pools)
        for (auto& track : pool.tracks) {
            std::ranges::stable_sort(track.spans, {}, &Span::begin);
            std::ranges::stable_sort(track.marks, {}, &Mark::at);
        }
    return std::move(recording_);
}

}  // namespace mp::trace
