#include "trace/status_page.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "os/raw_stack.hpp"
#include "os/symbolize.hpp"

namespace mp::trace {
namespace {

std::uint64_t load(const Field& field) { return field.load(std::memory_order_relaxed); }

template <std::size_t N>
void copy_text(std::array<char, N>& to, std::string_view text) {
    const std::size_t size = std::min(text.size(), N - 1);
    std::memcpy(to.data(), text.data(), size);
    to[size] = '\0';
}

// Text of unknown origin, for terminals and pages: no control characters.
template <std::size_t N>
std::string read_text(const std::array<char, N>& from) {
    std::string text(from.data(), ::strnlen(from.data(), N));
    for (char& byte : text)
        if (static_cast<unsigned char>(byte) < ' ' || byte == '\x7f') byte = '?';
    return text;
}

std::chrono::nanoseconds duration(std::uint64_t value) {
    constexpr std::uint64_t most = std::uint64_t(1) << 60;  // 36 years: sums of such do not overflow
    return std::chrono::nanoseconds(std::min(value, most));
}

std::uint64_t since(std::uint64_t from, std::uint64_t to) { return to > from ? to - from : 0; }

// A copy, word by word, that lies as the page itself does.
class Copy {
  public:
    explicit Copy(std::span<const std::byte> from) : lines_(from.size() / sizeof(Line)) {
        auto* to = reinterpret_cast<std::uint64_t*>(lines_.data());
        const auto* words = reinterpret_cast<const Field*>(from.data());
        for (std::size_t i = 0; i < size() / sizeof(Field); ++i) to[i] = load(words[i]);
    }
    std::size_t size() const { return lines_.size() * sizeof(Line); }
    template <class T>
    const T& at(std::uint64_t offset) const {
        return *reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(lines_.data()) + offset);
    }

  private:
    struct alignas(128) Line {
        std::array<std::uint64_t, 16> words;
    };
    std::vector<Line> lines_;
};

std::uint64_t slots_size(std::uint64_t workers) { return slots_at + workers * sizeof(WorkerSlot); }

}  // namespace

base::Expected<StatusPage> StatusPage::make(std::string_view name, std::size_t workers, unsigned cpus) {
    StatusPage page;
    auto file = os::memory_file(status_file_name, slots_size(workers));
    if (!file) return file.error();
    auto mapping = os::Mapping::shared(file->get(), slots_size(workers));
    if (!mapping) return mapping.error();
    page.file_ = std::move(*file);
    page.mapping_ = std::move(*mapping);
    StatusHeader& header = page.header();
    header.version = StatusHeader::expected_version;
    header.size = page.size();
    header.owner = static_cast<std::uint64_t>(::getpid());
    header.started_at = now();
    header.cpus = cpus;
    header.workers = workers;
    header.slot_size = sizeof(WorkerSlot);
    copy_text(header.name, name);
    StatusLabel others{};
    copy_text(others.characters, "(others)");
    page.enter({}, others);
    header.magic.store(StatusHeader::expected_magic, std::memory_order_release);
    return page;
}

std::optional<MemoryLimiter> memory_limiter(const WorkerSlot& slot) {
    const auto said = load(slot.memory_limiter);
    if (said == 0 || said > static_cast<std::uint64_t>(MemoryLimiter::control_group) + 1) return std::nullopt;
    return static_cast<MemoryLimiter>(said - 1);
}

WorkerSlot& StatusPage::slot(std::size_t worker) {
    return *reinterpret_cast<WorkerSlot*>(mapping_.data() + slots_at + worker * sizeof(WorkerSlot));
}

std::uint64_t StatusPage::enter(std::string key, const StatusLabel& label) {
    const std::uint64_t number = load(header().labels);
    if (number >= most_labels) return 0;
    std::memcpy(mapping_.data() + labels_at + number * sizeof label, &label, sizeof label);
    header().labels.store(number + 1, std::memory_order_release);
    numbers_.emplace(std::move(key), number);
    return number;
}

std::uint64_t StatusPage::label(std::string_view text) {
    std::string key = "t" + std::string(text);
    if (const auto found = numbers_.find(key); found != numbers_.end()) return found->second;
    StatusLabel label{};
    copy_text(label.characters, text);
    return enter(std::move(key), label);
}

std::uint64_t StatusPage::label(const Place& place) {
    std::string key = "p" + std::to_string(place.offset) + ' ' + place.file;
    if (const auto found = numbers_.find(key); found != numbers_.end()) return found->second;
    StatusLabel label{};
    label.kind = StatusLabel::place;
    label.offset = place.offset;
    label.build_id_size = std::min(place.build_id.size(), label.build_id.size());
    std::copy_n(place.build_id.begin(), label.build_id_size, label.build_id.begin());
    copy_text(label.characters, place.file);
    return enter(std::move(key), label);
}

StatusWriter::StatusWriter(os::Mapping mapping, std::size_t worker)
    : mapping_(std::move(mapping)),
      slot_(reinterpret_cast<WorkerSlot*>(mapping_.data() + slots_at + worker * sizeof(WorkerSlot))) {
    floor_ = ~std::uint64_t(0);
    for (const SlowTask& task : slot_->slowest) floor_ = std::min(floor_, load(task.duration));
}

void StatusWriter::started() {
    const auto at = now();
    add(slot_->start, since(load(slot_->launched_at), at));
    slot_->since.store(at, std::memory_order_relaxed);
    set(WorkerState::initializing);
}

void StatusWriter::initialized() {
    const auto at = now();
    add(slot_->init, since(load(slot_->since), at));
    waits(at);
}

void StatusWriter::sent(std::uint64_t nanoseconds) {
    add(slot_->sent, nanoseconds);
    const auto worked = load(slot_->worked);
    slot_->worked.store(worked - std::min(worked, nanoseconds), std::memory_order_relaxed);
}

void StatusWriter::enter_slowest(std::uint64_t took, std::uint64_t begin, std::uint64_t label, std::uint64_t element,
                                 std::uint64_t count) {
    auto* place =
        &*std::ranges::min_element(slot_->slowest, {}, [](const SlowTask& task) { return load(task.duration); });
    // A reader sees none, the old one or the new one; at worst the new one's time beside the old one's name.
    place->duration.store(0, std::memory_order_release);
    place->begin.store(begin, std::memory_order_relaxed);
    place->element.store(element, std::memory_order_relaxed);
    place->count.store(count, std::memory_order_relaxed);
    place->label.store(label, std::memory_order_relaxed);
    place->duration.store(took, std::memory_order_release);
    floor_ = ~std::uint64_t(0);
    for (const SlowTask& task : slot_->slowest) floor_ = std::min(floor_, load(task.duration));
}

std::vector<std::string> read_labels(std::span<const std::byte> bytes) {
    std::vector<std::string> labels;
    const Copy copy(bytes.first(std::min<std::size_t>(bytes.size(), slots_at)));
    if (copy.size() < slots_at) return labels;
    const auto count = std::min(load(copy.at<StatusHeader>(0).labels), most_labels);
    // Looking a name up in debug information takes milliseconds: once for each of them.
    static std::mutex mutex;
    static std::map<std::string, std::string> known;
    for (std::uint64_t i = 0; i < count; ++i) {
        StatusLabel label;
        std::memcpy(&label, &copy.at<StatusLabel>(labels_at + i * sizeof label), sizeof label);
        std::string text = read_text(label.characters);
        if (label.kind == StatusLabel::place) {
            const std::string key(reinterpret_cast<const char*>(&label), sizeof label);
            const std::lock_guard guard(mutex);
            auto [name, is_new] = known.try_emplace(key);
            if (is_new) {
                if (known.size() > 4096) {
                    known.clear();
                    name = known.try_emplace(key).first;
                }
                os::RawModule module;
                module.path = text;
                module.build_id.assign(label.build_id.begin(),
                                       label.build_id.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(
                                                                    label.build_id_size, label.build_id.size())));
                os::RawStack stack;
                stack.modules.push_back(std::move(module));
                stack.frames.push_back({.module = 0, .return_address = false, .offset = label.offset});
                const auto frames = os::symbolize(stack);
                name->second = frames.empty() || frames.back().function.empty() ? "a function" : frames.back().function;
            }
            text = name->second;
        }
        labels.push_back(std::move(text));
    }
    return labels;
}

std::optional<PoolStats> read_status(std::span<const std::byte> bytes, std::uint64_t at, pid_t* owner) {
    const Copy copy(bytes);
    if (copy.size() < slots_at) return std::nullopt;
    const auto& header = copy.at<StatusHeader>(0);
    const std::uint64_t workers = load(header.workers);
    if (load(header.magic) != StatusHeader::expected_magic || load(header.version) != StatusHeader::expected_version ||
        load(header.slot_size) != sizeof(WorkerSlot) || workers > (copy.size() - slots_at) / sizeof(WorkerSlot))
        return std::nullopt;
    if (owner) *owner = static_cast<pid_t>(load(header.owner));

    const auto labels = read_labels(bytes);
    const auto text = [&](std::uint64_t label) { return label < labels.size() ? labels[label] : std::string("?"); };
    PoolStats stats;
    stats.name = read_text(header.name);
    const std::uint64_t started_at = load(header.started_at);
    stats.elapsed = duration(since(started_at, at));
    stats.cpus = static_cast<unsigned>(std::min<std::uint64_t>(load(header.cpus), 1 << 20));
    stats.waiting = load(header.waiting);
    stats.assigned = load(header.assigned);
    stats.submitted = load(header.submitted);
    stats.elements = load(header.elements);
    stats.retried = load(header.retried);
    stats.crashes = load(header.crashes);
    stats.timeouts = load(header.timeouts);
    stats.memory_limit = load(header.memory_limit);
    stats.short_of_memory = load(header.short_of_memory) != 0;
    stats.memory_pauses = load(header.memory_pauses);
    std::optional<MemoryLimiter> weakest;
    for (std::uint64_t i = 0; i < workers; ++i) {
        const auto& slot = copy.at<WorkerSlot>(slots_at + i * sizeof(WorkerSlot));
        WorkerStats worker;
        worker.number = static_cast<int>(i + 1);
        worker.pid = static_cast<pid_t>(load(slot.pid));
        const auto state = load(slot.state);
        worker.state = state <= static_cast<std::uint64_t>(WorkerState::gone) ? static_cast<WorkerState>(state)
                                                                              : WorkerState::gone;
        if (worker.pid == 0) worker.state = WorkerState::gone;
        const auto now_since = duration(since(load(slot.since), at));
        worker.restarts = load(slot.launches) > 0 ? load(slot.launches) - 1 : 0;
        worker.tasks = load(slot.tasks);
        worker.failed = load(slot.failed);
        worker.memory_limiter = memory_limiter(slot);
        if (worker.memory_limiter) weakest = std::min(weakest.value_or(*worker.memory_limiter), *worker.memory_limiter);
        worker.start = duration(load(slot.start));
        worker.init = duration(load(slot.init));
        worker.waiting = duration(load(slot.waited));
        worker.working = duration(load(slot.worked));
        worker.sending = duration(load(slot.sent));
        // What is not over yet counts as well.
        if (worker.state == WorkerState::waiting) worker.waiting += now_since;
        if (worker.state == WorkerState::working) {
            worker.working += now_since;
            worker.task_time = now_since;
            TaskTime task{.label = text(load(slot.label))};
            const auto element = load(slot.element), until = load(slot.until);
            if (element != no_element) {
                task.element = element;
                task.count = until > element ? until - element : 1;
            }
            worker.task = task.name();
        }
        for (std::size_t bucket = 0; bucket < DurationHistogram::buckets; ++bucket)
            if (const auto times = load(slot.times[bucket])) stats.times.add_to_bucket(bucket, times);
        for (const SlowTask& slow : slot.slowest) {
            const auto took = load(slow.duration);
            if (took == 0) continue;
            TaskTime task{.label = text(load(slow.label)), .count = std::max<std::uint64_t>(1, load(slow.count))};
            if (const auto element = load(slow.element); element != no_element) task.element = element;
            task.duration = duration(took);
            task.begin = duration(since(started_at, load(slow.begin)));
            task.worker = worker.number;
            stats.slowest.push_back(std::move(task));
        }
        stats.workers.push_back(std::move(worker));
    }
    stats.memory_limiter = weakest.value_or(MemoryLimiter::none);
    std::ranges::stable_sort(stats.slowest, std::greater(), &TaskTime::duration);
    constexpr std::size_t shown = std::tuple_size_v<decltype(WorkerSlot::slowest)>;
    if (stats.slowest.size() > shown) stats.slowest.resize(shown);
    stats.advice = advise(stats);
    return stats;
}

}  // namespace mp::trace
