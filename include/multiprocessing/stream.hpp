/// \file
/// Results of a pool that come one by one while the input is still being read.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <multiprocessing/detail/completion_queue.hpp>
#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/detail/pool_call.hpp>
#include <multiprocessing/future.hpp>
#include <multiprocessing/outcome.hpp>

namespace mp {

namespace detail {

struct in_order {};
struct as_they_come {};
struct values {};
struct outcomes {};

/// One element of a stream: as a task of submit, but the element may be spread.
template <class F, class How, class T>
void run_element(PoolCall& call) {
    if (make_or_drop<F>(call)) return;
    auto& function = *static_cast<F*>(call.object);
    T element = serial::decode<T>(*call.reader);
    call.reader->finish();
    if constexpr (std::is_void_v<element_result<How, F, T>>) {
        How::call(function, std::move(element));
    } else {
        const std::remove_cvref_t<element_result<How, F, T>> result = How::call(function, std::move(element));
        serial::encode(*call.writer, result);
    }
}

/// The elements of a stream that are under way.
template <class Order>
class UnderWay;

template <>
class UnderWay<in_order> {
  public:
    explicit UnderWay(Engine& engine) : engine_(engine) {}
    std::size_t size() const { return tasks_.size(); }
    void submit(TaskSpec spec) { tasks_.push_back(engine_.submit(spec)); }
    std::shared_ptr<PendingTask> next() {
        auto task = std::move(tasks_.front());
        tasks_.pop_front();
        task->wait(-1);
        return task;
    }
    void cancel() {
        for (const auto& task : tasks_) task->cancel();
    }

  private:
    Engine& engine_;
    std::deque<std::shared_ptr<PendingTask>> tasks_;
};

template <>
class UnderWay<as_they_come> {
  public:
    explicit UnderWay(Engine& engine) : engine_(engine), completed_(&engine) {}
    std::size_t size() const { return completed_.left(); }
    void submit(TaskSpec spec) {
        spec.completion = completed_.next_completion();
        completed_.add_told(engine_.submit(spec));
    }
    std::shared_ptr<PendingTask> next() {
        return std::static_pointer_cast<PendingTask>(std::move(completed_.next(-1)->pending));
    }
    void cancel() { completed_.cancel(); }

  private:
    Engine& engine_;
    CompletionQueue completed_;
};

}  // namespace detail

/// The results of Pool::imap and its kin: a view, to be gone through once, by one thread at a time; it may be moved
/// before that. Where the function returns nothing its elements are std::monostate.
///
/// Nothing is read before begin(). From then on the range is read on the calling thread, so far ahead that workers have
/// work, and no further (CallOptions::window and window_bytes): memory does not grow with the length of the input. An
/// element of the input lives until it has been sent.
///
/// What an element threw - or WorkerLost, TaskTimeout - is thrown at its place, by `++` or begin(); afterwards `++`
/// goes on with the next element. What the input range throws comes when all results before it have been taken, as it
/// is, and ends the stream. Destroying the stream cancels what is under way, as Future::cancel
/// does: what has not begun is not run, and where the engine can stop tasks, what runs is stopped (StopLadder).
template <class F, class How, class Order, class Yield, std::ranges::view View>
class Stream : public std::ranges::view_interface<Stream<F, How, Order, Yield, View>> {
    using T = std::ranges::range_value_t<View>;
    using R = std::remove_cvref_t<detail::element_result<How, F, T>>;
    using Value = std::conditional_t<std::is_same_v<Yield, detail::outcomes>, Outcome<R>,
                                     std::conditional_t<std::is_void_v<R>, std::monostate, R>>;

    struct State {
        State(std::shared_ptr<detail::Engine> given_engine, F given_function, View given_view,
              CallOptions given_options)
            : engine(std::move(given_engine)),
              function(std::move(given_function)),
              view(std::move(given_view)),
              options(std::move(given_options)),
              progress(options, length(view), *engine),
              under_way(*engine) {
            if (options.window && *options.window < 1)
                throw std::invalid_argument("window must be at least 1, not " + std::to_string(*options.window));
            constexpr auto* entry =
                &detail::entry_record<detail::PoolEntry, &detail::run_element<F, How, T>, F, How, T>;
            call = engine->number_call();
            prepared = engine->prepare(detail::describe_callable(*entry, function));
        }
        ~State() { under_way.cancel(); }
        State(const State&) = delete;
        State& operator=(const State&) = delete;

        void begin() {
            if (input) return;
            if (options.timeout && !options.timeout->unlimited()) end = Clock::now() + options.timeout->nanoseconds();
            guard([&] { input.emplace(std::ranges::begin(view)); });
        }

        // The next value, or the end (empty). Throws what comes at this place.
        void advance() {
            current.reset();
            fill();
            if (under_way.size() == 0) {
                if (input_error) std::rethrow_exception(std::exchange(input_error, nullptr));
                over = true;
                progress.finish();
                return;
            }
            const auto task = under_way.next();
            progress.one(task->first_error() != nullptr);
            argument_bytes -= argument_bytes / (under_way.size() + 1);
            result_bytes += task->bytes().size();
            ++results;
            if constexpr (std::is_same_v<Yield, detail::outcomes>) {
                current.emplace(Future<R>(task).outcome());
            } else {
                if (auto error = task->first_error()) std::rethrow_exception(std::move(error));
                if constexpr (std::is_void_v<R>)
                    current.emplace();
                else
                    current.emplace(detail::task_value<R>(*task));
            }
        }

        void fill() {
            std::size_t window = 0;
            while (!exhausted) {
                if (under_way.size() >= window) {
                    window = options.window ? static_cast<std::size_t>(*options.window) : engine->useful_window();
                    if (under_way.size() >= window) return;
                }
                const double foreseen = results ? static_cast<double>(result_bytes) / static_cast<double>(results) : 0;
                if (under_way.size() > 0 &&
                    static_cast<double>(argument_bytes) + foreseen * static_cast<double>(under_way.size()) >
                        static_cast<double>(options.window_bytes))
                    return;
                if (!pull()) return;
            }
        }

        static std::optional<std::uint64_t> length(View& view) {
            if constexpr (std::ranges::sized_range<View>) return static_cast<std::uint64_t>(std::ranges::size(view));
            else return std::nullopt;
        }

        // Sends one element; false when there is none.
        bool pull() {
            alignas(16) std::byte scratch[256];
            serial::Writer writer(scratch);
            bool there = false;
            guard([&] {
                if (read_one) ++*input;
                read_one = true;
                there = *input != std::ranges::end(view);
                if (there) encode(writer, **input);
            });
            if (!there || exhausted) {
                exhausted = true;
                return false;
            }
            argument_bytes += writer.bytes().size();
            if (end) options.timeout = TimeLimit(*end - Clock::now());
            under_way.submit(
                {.prepared = &prepared, .index = index++, .call = call, .arguments = &writer, .options = &options});
            return true;
        }

        template <class Given>
        static void encode(serial::Writer& writer, Given&& given) {
            if constexpr (std::is_same_v<std::remove_cvref_t<Given>, T>)
                serial::encode(writer, static_cast<const T&>(given));
            else
                serial::encode(writer, T(std::forward<Given>(given)));
        }

        // What the input range throws comes later, at its place.
        template <class Read>
        void guard(Read&& read) {
            try {
                read();
            } catch (...) {
                input_error = std::current_exception();
                exhausted = true;
            }
        }

        using Clock = std::chrono::steady_clock;
        std::shared_ptr<detail::Engine> engine;
        F function;
        View view;
        CallOptions options;
        std::shared_ptr<detail::PreparedCallable> prepared;
        std::optional<Clock::time_point> end;
        std::optional<std::ranges::iterator_t<View>> input;
        bool read_one = false;   // the iterator stands at an element that has been sent
        bool exhausted = false;  // nothing more is read
        bool over = false;
        std::exception_ptr input_error;
        std::uint64_t index = 0;
        std::uint64_t call = 0;
        std::uint64_t argument_bytes = 0;  // of what is under way, about
        std::uint64_t result_bytes = 0, results = 0;
        std::optional<Value> current;
        detail::StreamProgress progress;
        detail::UnderWay<Order> under_way;
    };

  public:
    class Iterator {
      public:
        using value_type = Value;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        Iterator() = default;
        explicit Iterator(State* state) : state_(state) {}
        /// May be moved from.
        Value& operator*() const { return *state_->current; }
        Value* operator->() const { return &*state_->current; }
        Iterator& operator++() {
            state_->advance();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.state_->over; }

      private:
        State* state_ = nullptr;
    };

    /// \cond internal
    Stream(std::shared_ptr<detail::Engine> engine, F function, View view, const CallOptions& options)
        : state_(std::make_unique<State>(std::move(engine), std::move(function), std::move(view), options)) {}
    /// \endcond

    /// Begins to read, and waits for the first result. After an exception, once more: the next one.
    Iterator begin() {
        state_->begin();
        state_->advance();
        return Iterator(state_.get());
    }
    std::default_sentinel_t end() const { return {}; }

  private:
    std::unique_ptr<State> state_;
};

}  // namespace mp
