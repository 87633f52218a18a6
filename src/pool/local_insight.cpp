#include "pool/local_insight.hpp"

#include <unistd.h>

#include <utility>

#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/errors.hpp>

#include "os/mapping.hpp"
#include "pool/insight.hpp"

namespace mp::pool {
namespace {

std::uint64_t nanoseconds(LocalInsight::Time time) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(time.time_since_epoch()).count());
}

}  // namespace

LocalInsight::LocalInsight(const std::string& name, std::size_t workers) : name_(name) {
    const auto checked = [&](auto expected) {
        if (!expected) throw SystemError(expected.error(), "cannot make the status page of pool \"" + name + '"');
        return std::move(*expected);
    };
    page_ = checked(trace::StatusPage::make(name, workers, cpu_count()));
    for (std::size_t i = 0; i < workers; ++i) {
        auto& slot = page_.slot(i);
        slot.pid.store(static_cast<std::uint64_t>(::getpid()), std::memory_order_relaxed);
        slot.launched_at.store(trace::now(), std::memory_order_relaxed);
        slot.launches.store(1, std::memory_order_relaxed);
        work_.push_back(std::make_unique<Work>());
        work_.back()->insight_ = this;
        work_.back()->number_ = i;
        work_.back()->writer_ = trace::StatusWriter(checked(os::Mapping::shared(page_.file(), page_.size())), i);
    }
}

std::uint32_t LocalInsight::label(const void* code, const std::type_info& type) {
    const std::lock_guard guard(mutex_);
    return function_label(page_, code, type);
}

std::uint32_t LocalInsight::label(std::string_view text) {
    const std::lock_guard guard(mutex_);
    return static_cast<std::uint32_t>(page_.label(text));
}

void LocalInsight::retried() {
    // By any worker, so not one writer.
    page_.header().retried.fetch_add(1, std::memory_order_relaxed);
}

PoolStats LocalInsight::stats() const {
    auto stats = trace::read_status(page_.bytes(), trace::now());
    return stats ? std::move(*stats) : PoolStats();
}

void LocalInsight::look_around() {
    if (epoch_.load(std::memory_order_relaxed) == trace::recording_epoch.load(std::memory_order_relaxed)) return;
    const std::lock_guard guard(mutex_);
    leave_session();
    epoch_.store(trace::recording_epoch.load(std::memory_order_acquire), std::memory_order_relaxed);
    recorder_ = trace::active_recorder();
    page_.header().recording.store(recorder_ ? 1 : 0, std::memory_order_relaxed);
    if (recorder_) number_ = recorder_->add_pool(name_, ::getpid(), work_.size(), stats(), weak_from_this());
}

void LocalInsight::leave_session() {
    if (!recorder_) return;
    recorder_->finish_pool(number_, trace::read_labels(page_.bytes()), stats());
    recorder_.reset();
    page_.header().recording.store(0, std::memory_order_relaxed);
}

void LocalInsight::flush(trace::Recorder& recorder) {
    const std::lock_guard guard(mutex_);
    if (recorder_.get() == &recorder) leave_session();
}

void LocalInsight::record(std::size_t worker, const trace::SpanRecord& span) {
    const std::lock_guard guard(mutex_);
    if (recorder_) recorder_->span(number_, worker, span);
}

Stretch::Stretch(LocalInsight::Work& work, std::uint32_t label, std::uint64_t element, std::uint64_t count,
                 LocalInsight::Time begin)
    : work_(work),
      label_(label),
      element_(element),
      count_(count),
      begin_(begin),
      failures_before_(work.failures_),
      outer_(std::exchange(work.innermost_, this)),
      end_(begin) {
    work_.insight_->look_around();
    if (!outer_ && begin > work_.idle_since_) work_.writer_.waited(nanoseconds(begin) - nanoseconds(work_.idle_since_));
    show();
}

void Stretch::show() const { work_.writer_.begin(nanoseconds(begin_), label_, element_, count_); }

void Stretch::end(LocalInsight::Time at, std::uint64_t count) {
    end_ = at;
    done_ = count;
}

Stretch::~Stretch() {
    work_.innermost_ = outer_;
    if (done_ > 0) {
        const std::uint64_t begin = nanoseconds(begin_ + inner_), end = nanoseconds(end_);
        work_.writer_.end(begin, end, label_, element_, done_);
        if (work_.recording()) [[unlikely]]
            work_.insight_->record(work_.number_, {nanoseconds(begin_), end, element_, done_, label_,
                                                   static_cast<std::uint32_t>(work_.failures_ - failures_before_)});
    }
    if (outer_) {
        outer_->inner_ += end_ - begin_;
        outer_->show();
    } else {
        work_.idle_since_ = end_;
        work_.writer_.waits(nanoseconds(end_));
    }
}

}  // namespace mp::pool
