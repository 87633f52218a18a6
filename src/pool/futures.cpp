#include <multiprocessing/futures.hpp>

#include <algorithm>

namespace mp::detail {

namespace {

bool has_failed(const Pending& pending) {
    const auto error = pending.first_error();
    if (!error) return false;
    try {
        std::rethrow_exception(error);
    } catch (const TaskCancelled&) {
        return false;
    } catch (...) {
        return true;
    }
}

}  // namespace

Engine* engine_of(const std::vector<std::shared_ptr<Pending>>& all) {
    if (all.empty()) return nullptr;
    Engine* const first = &all.front()->engine();
    const bool same = std::ranges::all_of(all, [&](const auto& pending) { return &pending->engine() == first; });
    return same ? first : nullptr;
}

void wait_pending(const std::vector<std::shared_ptr<Pending>>& all, double seconds, ReturnWhen when) {
    using Clock = std::chrono::steady_clock;
    const bool limited = seconds >= 0 && seconds < 1e9;
    const auto end = Clock::now() +
                     std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limited ? seconds : 0));
    CompletionQueue completed(engine_of(all));
    for (std::size_t i = 0; i < all.size(); ++i) completed.add(all[i], i);
    while (completed.left() > 0) {
        const double left = limited ? std::max(0.0, std::chrono::duration<double>(end - Clock::now()).count()) : -1;
        const auto done = completed.next(left);
        if (!done || when == ReturnWhen::first_completed) return;
        if (when == ReturnWhen::first_exception && has_failed(*done->pending)) return;
    }
}

}  // namespace mp::detail
