/// \file
/// Waiting for several futures, as Python's concurrent.futures does.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <multiprocessing/detail/completion_queue.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/future.hpp>
#include <multiprocessing/wait.hpp>

namespace mp {

/// When wait() is content.
enum class ReturnWhen {
    first_completed,  ///< with one that is done
    first_exception,  ///< with one that failed, or else all; one that was cancelled has not failed
    all_completed,
};

/// What wait() returns: each future once, in the order in which they were given.
template <class R>
struct WaitResult {
    /// Those that have a result or an error.
    std::vector<Future<R>> done;
    /// All others.
    std::vector<Future<R>> not_done;
};

namespace detail {

template <class T>
inline constexpr bool is_future = false;
template <class R>
inline constexpr bool is_future<Future<R>> = true;

template <class Range>
concept future_range = std::ranges::input_range<Range> && is_future<std::ranges::range_value_t<Range>>;

/// Waits for work as wait() does. Null pointers and doubles are not allowed.
MP_EXPORT void wait_pending(const std::vector<std::shared_ptr<Pending>>& all, double seconds, ReturnWhen when);
/// The engine of all of them; null when there are several.
MP_EXPORT Engine* engine_of(const std::vector<std::shared_ptr<Pending>>& all);

template <class Range>
auto unique_futures(Range& futures) {
    std::vector<std::ranges::range_value_t<Range>> list;
    std::unordered_set<const Pending*> seen;
    for (auto&& future : futures)
        if (seen.insert(future.internal_pending().get()).second) list.push_back(future);
    return list;
}

template <class R>
std::vector<std::shared_ptr<Pending>> pending_of(const std::vector<Future<R>>& futures) {
    std::vector<std::shared_ptr<Pending>> list;
    list.reserve(futures.size());
    for (const auto& future : futures) list.push_back(future.internal_pending());
    return list;
}

template <class Range>
auto wait_futures(Range& futures, double seconds, ReturnWhen when) {
    const auto list = unique_futures(futures);
    wait_pending(pending_of(list), seconds, when);
    WaitResult<typename std::ranges::range_value_t<Range>::value_type> result;
    for (const auto& future : list) (future.done() ? result.done : result.not_done).push_back(future);
    return result;
}

}  // namespace detail

/// Waits for a range of futures - of any pools - until `when` is met or the time is up (zero or less only looks).
/// `auto [done, not_done] = mp::wait(futures, 2s, mp::ReturnWhen::first_completed);`
template <detail::future_range Range, class Rep, class Period>
auto wait(Range&& futures, std::chrono::duration<Rep, Period> limit, ReturnWhen when = ReturnWhen::all_completed) {
    const double seconds = std::chrono::duration<double>(limit).count();
    return detail::wait_futures(futures, seconds > 0 ? seconds : 0, when);
}
/// The same without a limit.
template <detail::future_range Range>
auto wait(Range&& futures, ReturnWhen when = ReturnWhen::all_completed) {
    return detail::wait_futures(futures, -1, when);
}

/// The futures given to as_completed(), each once, as they are done. An input range: its begin() may be called once,
/// and one thread at a time uses it. The futures are let go of one by one, so that results that were used take no
/// memory.
template <class R>
class AsCompleted {
  public:
    /// An input iterator; `++` waits for the next future.
    class Iterator {
      public:
        using value_type = Future<R>;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        Iterator() = default;
        explicit Iterator(AsCompleted* from) : from_(from) { ++*this; }
        Future<R>& operator*() const { return *from_->current_; }
        Future<R>* operator->() const { return &*from_->current_; }
        Iterator& operator++() {
            if (!from_->advance()) from_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.from_ == nullptr; }

      private:
        AsCompleted* from_ = nullptr;
    };

    /// \cond internal
    AsCompleted(std::vector<Future<R>> futures, std::optional<double> seconds)
        : futures_(std::move(futures)), end_(seconds ? std::optional(Clock::now() + as_time(*seconds)) : std::nullopt) {
        const auto pending = detail::pending_of(futures_);
        completed_ = std::make_unique<detail::CompletionQueue>(detail::engine_of(pending));
        for (std::size_t i = 0; i < pending.size(); ++i) completed_->add(pending[i], i);
    }
    /// \endcond

    /// Waits for the first.
    Iterator begin() { return Iterator(this); }
    std::default_sentinel_t end() const { return {}; }

  private:
    using Clock = std::chrono::steady_clock;
    static Clock::duration as_time(double seconds) {
        return std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(seconds < 1e9 ? seconds : 1e9));
    }

    bool advance() {
        current_.reset();
        if (completed_->left() == 0) return false;
        double seconds = -1;
        if (end_) seconds = std::max(0.0, std::chrono::duration<double>(*end_ - Clock::now()).count());
        const auto done = completed_->next(seconds);
        if (!done)
            throw TaskTimeout(std::to_string(completed_->left()) + " of " + std::to_string(futures_.size()) +
                              " futures are not done");
        current_.emplace(std::move(futures_[done->tag]));
        return true;
    }

    std::vector<Future<R>> futures_;
    std::unique_ptr<detail::CompletionQueue> completed_;
    std::optional<Clock::time_point> end_;
    std::optional<Future<R>> current_;
};

/// `for (auto& future : mp::as_completed(futures)) use(future.get());` - those that are done already come first. With a
/// limit, counted from this call, going on throws TaskTimeout when the next one is not done in time; it says how many
/// are left.
template <detail::future_range Range>
auto as_completed(Range&& futures) {
    using R = typename std::ranges::range_value_t<Range>::value_type;
    return AsCompleted<R>(detail::unique_futures(futures), std::nullopt);
}
/// The same, for so long.
template <detail::future_range Range, class Rep, class Period>
auto as_completed(Range&& futures, std::chrono::duration<Rep, Period> limit) {
    using R = typename std::ranges::range_value_t<Range>::value_type;
    return AsCompleted<R>(detail::unique_futures(futures), std::chrono::duration<double>(limit).count());
}

}  // namespace mp
