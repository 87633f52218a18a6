// Telling how far a call is, while it is waited for or its results are taken.
#include <algorithm>
#include <chrono>

#include <multiprocessing/detail/pool_call.hpp>
#include <multiprocessing/pool_options.hpp>

#include "pool/call_progress.hpp"

namespace mp::pool {

std::shared_ptr<trace::ProgressDisplay> make_display(detail::PendingMap& map, const CallOptions& options) {
    return std::make_shared<trace::ProgressDisplay>(
        options.progress, options.label, map.elements(),
        trace::ProgressDisplay::Source{[&map] {
                                           const detail::MapProgress progress = map.progress();
                                           return trace::ProgressCounts{progress.done, progress.failed};
                                       },
                                       [&map] { return map.engine().stats().workers; }});
}

}  // namespace mp::pool

namespace mp::detail {

void wait_for(PendingMap& map, const CallOptions& options) {
    if (!options.progress) {
        map.wait(-1);
        return;
    }
    auto display = map.display();
    if (!display) display = pool::make_display(map, options);
    try {
        while (true) {
            const std::chrono::duration<double> until = display->due() - trace::ProgressDisplay::Clock::now();
            if (map.wait(std::max(0.0, until.count()))) break;
            display->tick();
        }
        display->finish();
    } catch (...) {
        map.cancel();
        throw;
    }
}

struct StreamProgress::State {
    State(const CallOptions& options, std::optional<std::uint64_t> total, Engine& engine)
        : display(options.progress, options.label, total,
                  {[this] { return counts; }, [&engine] { return engine.stats().workers; }}) {}
    trace::ProgressCounts counts;
    trace::ProgressDisplay display;
};

StreamProgress::StreamProgress(const CallOptions& options, std::optional<std::uint64_t> total, Engine& engine) {
    if (options.progress) state_ = std::make_unique<State>(options, total, engine);
}
StreamProgress::~StreamProgress() = default;

void StreamProgress::count(bool failed) {
    ++state_->counts.done;
    if (failed) ++state_->counts.failed;
    state_->display.tick_often();
}

void StreamProgress::finish() {
    if (state_) state_->display.finish();
    state_.reset();
}

}  // namespace mp::detail
