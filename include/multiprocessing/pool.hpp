/// \file
/// Worker processes that run functions for the caller.
#pragma once

#include <sys/types.h>

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/detail/fold.hpp>
#include <multiprocessing/detail/in_place.hpp>
#include <multiprocessing/detail/pool_call.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/future.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/pool_options.hpp>
#include <multiprocessing/range.hpp>
#include <multiprocessing/stream.hpp>

namespace mp {

/// A fixed number of worker processes that run functions for the caller, one task at a time each.
///
/// A pool's function is a function, a lambda that captures plain values, or a serialisable function object; anything else
/// is refused at compile time with what to do instead. By default it runs in a fresh copy of the program: static
/// initialisers have run, `main` has not, so what `main` put into globals is not there (see Initializer).
///
/// A worker that dies - by a crash, a signal, exit() - costs the task that it was running, which ends with WorkerLost, and
/// is replaced; every other task goes on. Nothing is run twice unless Retries say so.
///
/// While the machine, or the control group, is short of memory, the pool begins one task at a time, and goes on with one worker
/// in each map, until there is more. What runs is not stopped.
///
/// Ctrl-C: a program that leaves SIGINT alone ends by it, but in order. At the first press pools hand out nothing more and
/// stop what runs (PoolOptions::stop_ladder); when the workers rest or are gone and what they printed is shown, the program
/// ends by SIGINT, without unwinding: until then no call of a pool returns. That takes the ladder's times and two seconds at
/// most. A second press ends the program at once. For this a pool installs a handler while SIGINT has its default action,
/// and takes it back with the last pool. When the program has a handler of its own, or ignores SIGINT, pools do nothing:
/// workers do not heed SIGINT, and the program decides.
///
/// All members may be called by several threads at once. In a forked child of the process that made the pool they throw
/// Error. The destructor finishes what was submitted; while an exception unwinds the stack it cancels what has not begun.
/// Workers end with the caller, however that ends.
class Pool {
  public:
    /// cpu_count() workers.
    Pool() : Pool(PoolOptions{}) {}
    /// Throws std::invalid_argument for zero and less.
    explicit Pool(int workers) : Pool(with_workers(workers)) {}
    /// Throws std::invalid_argument for bad options, SystemError when the system refuses a worker; then none is left.
    MP_EXPORT explicit Pool(PoolOptions options);
    MP_EXPORT Pool(Pool&& other) noexcept;
    MP_EXPORT Pool& operator=(Pool&& other) noexcept;
    MP_EXPORT ~Pool();

    /// f(element) for each element, in input order. When some fail, the error of the first of them is thrown after all
    /// were run. The input is read once, before anything is run. Workers take elements by themselves, so that uneven
    /// work ends together. Megabytes of vectors and strings are copied by several threads, which run none of your code.
    template <class F, std::ranges::input_range Range>
    auto map(F&& function, Range&& range, const CallOptions& options = {}) {
        return values<detail::Plain, std::decay_t<F>>(function, range, options);
    }
    /// `pool.map(f, {1, 2, 3})`
    template <class F, class T>
    auto map(F&& function, std::initializer_list<T> elements, const CallOptions& options = {}) {
        return values<detail::Plain, std::decay_t<F>>(function, elements, options);
    }

    /// As map, for functions of several arguments: an element - tuple, pair, array or plain aggregate - is spread over
    /// them.
    template <class F, std::ranges::input_range Range>
    auto starmap(F&& function, Range&& range, const CallOptions& options = {}) {
        return values<detail::Spread, std::decay_t<F>>(function, range, options);
    }

    /// As map, but an element that fails costs no other: a value or an error for each, in input order.
    template <class F, std::ranges::input_range Range>
    auto map_outcomes(F&& function, Range&& range, const CallOptions& options = {}) {
        return outcomes<detail::Plain, std::decay_t<F>>(function, range, options);
    }
    /// `pool.map_outcomes(f, {1, 2, 3})`
    template <class F, class T>
    auto map_outcomes(F&& function, std::initializer_list<T> elements, const CallOptions& options = {}) {
        return outcomes<detail::Plain, std::decay_t<F>>(function, elements, options);
    }
    /// starmap in the same way.
    template <class F, std::ranges::input_range Range>
    auto starmap_outcomes(F&& function, Range&& range, const CallOptions& options = {}) {
        return outcomes<detail::Spread, std::decay_t<F>>(function, range, options);
    }

    /// A lazy range of f(element) in input order, for elements of any input range, endless ones too: `for (R r :
    /// pool.imap(f, lines))`. See Stream for what it reads ahead, what an error does, and what leaving it early does.
    template <class F, std::ranges::viewable_range Range>
    auto imap(F&& function, Range&& range, const CallOptions& options = {}) {
        return stream<detail::Plain, detail::in_order, detail::values, std::decay_t<F>>(function, std::forward<Range>(range),
                                                                                         options);
    }
    /// The same in the order in which results come.
    template <class F, std::ranges::viewable_range Range>
    auto imap_unordered(F&& function, Range&& range, const CallOptions& options = {}) {
        return stream<detail::Plain, detail::as_they_come, detail::values, std::decay_t<F>>(
            function, std::forward<Range>(range), options);
    }
    /// imap for functions of several arguments: elements are spread, as by starmap.
    template <class F, std::ranges::viewable_range Range>
    auto istarmap(F&& function, Range&& range, const CallOptions& options = {}) {
        return stream<detail::Spread, detail::in_order, detail::values, std::decay_t<F>>(function, std::forward<Range>(range),
                                                                                          options);
    }
    /// Ranges of Outcome<R>: no element that fails ends them.
    template <class F, std::ranges::viewable_range Range>
    auto imap_outcomes(F&& function, Range&& range, const CallOptions& options = {}) {
        return stream<detail::Plain, detail::in_order, detail::outcomes, std::decay_t<F>>(
            function, std::forward<Range>(range), options);
    }
    /// The same as they come.
    template <class F, std::ranges::viewable_range Range>
    auto imap_unordered_outcomes(F&& function, Range&& range, const CallOptions& options = {}) {
        return stream<detail::Plain, detail::as_they_come, detail::outcomes, std::decay_t<F>>(
            function, std::forward<Range>(range), options);
    }

    /// init op f(e0) op f(e1) op … with an associative `op`, folded inside the workers. Elements are cut into groups -
    /// chunk_size of them, or a 1024th of all - each group is folded from left to right by one worker, and the partial
    /// results are combined here in input order: which values are combined with which depends on the number of elements
    /// and chunk_size alone, so that the result is the same, to the last bit, whatever the number of workers.
    ///
    /// Throws the error of the first group in which something failed. When a worker dies, the element it was at is to
    /// blame; with Retries its whole group is done again, since its partial result is lost. No group counts twice.
    template <class F, class Op, class Init, std::ranges::input_range Range>
    auto reduce(F&& function, Op&& op, Init&& init, Range&& range, const CallOptions& options = {}) {
        using Value = std::decay_t<Init>;
        if constexpr (detail::check_fold<std::decay_t<F>, std::decay_t<Op>, detail::map_element<Range>, Value>()) {
            const std::decay_t<F> held(function);
            const std::decay_t<Op> operation(op);
            return detail::fold_range<Value>(*engine_, held, operation, Value(std::forward<Init>(init)), range, options);
        }
    }

    /// f(element) for its effects. The elements of an mp::Array, or of a span of one or of an mp::SharedMemory, are passed
    /// by reference and changed in place: nothing is copied, and workers keep the memory mapped from call to call, as long
    /// as this process has it. A span of other memory is refused with std::invalid_argument. Elements of other ranges are
    /// copies. Returns when all are done; throws the error of the first that failed. What a failed or retried element has
    /// changed stays changed.
    template <class F, class Range>
    void for_each(F&& function, Range&& range, const CallOptions& options = {}) {
        using Function = std::decay_t<F>;
        const Function held(function);
        if constexpr (detail::is_span<std::remove_cvref_t<Range>>) {
            using T = typename std::remove_cvref_t<Range>::element_type;
            check_callable<Function>();
            constexpr bool callable = std::is_invocable_v<Function&, T&>;
            static_assert(callable, "for_each: the function cannot be called with a reference to an element of the span");
            if constexpr (callable) detail::for_each_in_place(*engine_, held, std::span<T>(range), options);
        } else if constexpr (requires { { range.span() }; requires detail::is_span<decltype(range.span())>; }) {
            for_each(held, range.span(), options);
        } else {
            using T = detail::map_element<Range>;
            constexpr bool callable = std::is_invocable_v<Function&, T>;
            static_assert(callable || !std::is_invocable_v<Function&, T&>,
                          "for_each: the function takes its elements by reference, but those of this range would be copies in "
                          "another process; use an mp::Array or the span of one, or take them by value");
            static_assert(callable || std::is_invocable_v<Function&, T&>,
                          "for_each: the function cannot be called with an element of the range");
            if constexpr (callable) values<detail::Effects, Function>(held, range, options);
        }
    }

    /// map and starmap that do not wait: get() gives what these return. The input is read before this returns. (Without
    /// default arguments, which g++ 12 destroys twice in a coroutine: there, options go into a variable first.)
    template <class F, std::ranges::input_range Range>
    auto map_async(F&& function, Range&& range) {
        return map_async(function, range, CallOptions());
    }
    template <class F, std::ranges::input_range Range>
    auto map_async(F&& function, Range&& range, const CallOptions& options) {
        return values_later<detail::Plain, std::decay_t<F>>(function, range, options);
    }
    template <class F, std::ranges::input_range Range>
    auto starmap_async(F&& function, Range&& range) {
        return starmap_async(function, range, CallOptions());
    }
    template <class F, std::ranges::input_range Range>
    auto starmap_async(F&& function, Range&& range, const CallOptions& options) {
        return values_later<detail::Spread, std::decay_t<F>>(function, range, options);
    }

    /// Runs f(arguments...) some time soon, in the order of submission. Arguments are copied now.
    template <class F, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<F>, CallOptions>)
    auto submit(F&& function, Args&&... arguments) {
        return submit(CallOptions(), std::forward<F>(function), std::forward<Args>(arguments)...);
    }
    /// submit({.task_timeout = 3s}, f, arguments...)
    template <class F, class... Args>
    auto submit(const CallOptions& options, F&& function, Args&&... arguments) {
        using Function = std::decay_t<F>;
        detail::check_task<Function, Args...>();
        if constexpr (detail::callable_task<Function, Args...>) {
            using R = std::remove_cvref_t<std::invoke_result_t<Function&, detail::task_argument<Args>...>>;
            if constexpr (!std::is_void_v<R>) serial::check_serializable<R>();
            constexpr auto* entry = &detail::entry_record<detail::PoolEntry,
                                                          &detail::run_task<Function, detail::task_argument<Args>...>,
                                                          Function, detail::task_argument<Args>...>;
            const Function held(std::forward<F>(function));
            alignas(16) std::byte scratch[256];
            serial::Writer writer(scratch);
            (encode_argument<detail::task_argument<Args>>(writer, arguments), ...);
            return Future<R>(engine_->submit({.callable = detail::describe_callable(*entry, held), .call = engine_->number_call(),
                 .arguments = &writer, .options = &options}));
        }
    }

    /// submit(...).get()
    template <class F, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<F>, CallOptions>)
    auto apply(F&& function, Args&&... arguments) {
        return apply(CallOptions(), std::forward<F>(function), std::forward<Args>(arguments)...);
    }
    /// The same with options.
    template <class F, class... Args>
    auto apply(const CallOptions& options, F&& function, Args&&... arguments) {
        if constexpr (detail::callable_task<std::decay_t<F>, Args...>)
            return submit(options, std::forward<F>(function), std::forward<Args>(arguments)...).get();
        else
            detail::check_task<std::decay_t<F>, Args...>();
    }

    /// f(arguments...) once in each worker, to set something up there or to ask for it: what it returned in each, in the order of
    /// the workers, or nothing. Begins in all at once and waits for those that are busy. A worker that is being replaced runs
    /// it afterwards; one that dies of it has failed. Throws the error of the first that failed, after all are done. Workers
    /// that replace others later have not run it: what each worker needs belongs into PoolOptions::initializer. Arguments that
    /// hold handles (a Queue, a Pipe end, …) are passed by mp::bind.
    template <class F, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<F>, CallOptions>)
    auto run_on_all(F&& function, Args&&... arguments) {
        return run_on_all(CallOptions(), std::forward<F>(function), std::forward<Args>(arguments)...);
    }
    /// The same with options.
    template <class F, class... Args>
    auto run_on_all(const CallOptions& options, F&& function, Args&&... arguments) {
        using Function = std::decay_t<F>;
        using T = std::tuple<detail::task_argument<Args>...>;
        check_callable<Function>();
        constexpr bool callable = std::is_invocable_v<Function&, detail::task_argument<Args>...>;
        static_assert(callable, "run_on_all: the function cannot be called with these arguments (they are passed by value; text "
                                "literals as std::string)");
        if constexpr (callable) {
            using R = std::remove_cvref_t<std::invoke_result_t<Function&, detail::task_argument<Args>...>>;
            const Function held(std::forward<F>(function));
            const std::array<T, 1> once{T(arguments...)};
            std::vector<std::shared_ptr<detail::PendingMap>> calls;
            for (int i = 0; i < workers(); ++i)
                calls.push_back(begin_map<detail::Spread>(held, once, options, static_cast<std::size_t>(i)));
            for (const auto& call : calls) call->wait(-1);
            for (const auto& call : calls)
                if (auto error = call->first_error()) std::rethrow_exception(std::move(error));
            if constexpr (!std::is_void_v<R>) {
                std::vector<R> results;
                for (const auto& call : calls) results.push_back(detail::map_value<R>(*call, 0));
                return results;
            }
        }
    }

    /// Nothing more can be submitted: that throws Error from now on. What was submitted goes on.
    MP_EXPORT void close();
    /// Waits until everything submitted is done and the workers have ended. Throws Error before close().
    MP_EXPORT void join();
    /// Ends the workers at once. What has no result ends with TaskCancelled.
    MP_EXPORT void terminate();

    /// How many workers it has.
    MP_EXPORT int workers() const;
    /// Their process numbers at this moment; those being replaced are left out.
    MP_EXPORT std::vector<pid_t> pids() const;
    /// What its workers did with their time until now, in numbers and in words: see PoolStats. Also after join().
    /// `std::cout << pool.stats()` prints a table. Does not ask the workers. Every engine counts; a worker of the
    /// engines of this process is one of its threads, and time in which a task waits for tasks of its own pool while
    /// its worker runs these is theirs.
    MP_EXPORT PoolStats stats() const;

  private:
    static PoolOptions with_workers(int workers) {
        PoolOptions options;
        options.workers = workers;
        return options;
    }

    template <class T, class Given>
    static void encode_argument(serial::Writer& writer, const Given& given) {
        if constexpr (std::is_same_v<T, Given>) serial::encode(writer, given);
        else serial::encode(writer, T(given));
    }

    template <class How, class F, class Range>
    std::shared_ptr<detail::PendingMap> begin_map(const F& function, Range& range, const CallOptions& options,
                                                  std::optional<std::size_t> worker = {}) {
        using T = detail::map_element<Range>;
        using R = std::remove_cvref_t<detail::element_result<How, F, T>>;
        detail::MapInput<T> input;
        detail::pack_input(*engine_, input, range);
        constexpr auto* entry =
            &detail::entry_record<detail::PoolEntry, &detail::run_map<F, How, detail::map_input<Range>, T>, F, How,
                                  detail::map_input<Range>, T>;
        detail::MapSpec spec;
        spec.callable = detail::describe_callable(*entry, function);
        spec.count = input.count;
        spec.call = engine_->number_call();
        spec.worker = worker;
        spec.inputs = input.bytes;
        spec.input_offsets = input.offsets;
        spec.memory = input.encoded.get();
        if constexpr (detail::result_is_array<R>) spec.result_size = sizeof(R);
        else spec.encoded_results = !std::is_void_v<R>;
        spec.options = &options;
        return engine_->map(spec);
    }

    template <class How, class F, class Given, class Range>
    auto values(Given& given, Range& range, const CallOptions& options) {
        using T = detail::map_element<Range>;
        detail::check_map<F, How, T>();
        if constexpr (detail::callable_with<F, How, T>) {
            using R = std::remove_cvref_t<detail::element_result<How, F, T>>;
            const F function(given);
            const auto map = begin_map<How, F>(function, range, options);
            detail::wait_for(*map, options);
            if (auto error = map->first_error()) std::rethrow_exception(std::move(error));
            return detail::map_values<R>(*map);
        }
    }

    template <class How, class F, class Given, class Range>
    auto outcomes(Given& given, Range& range, const CallOptions& options) {
        using T = detail::map_element<Range>;
        detail::check_map<F, How, T>();
        if constexpr (detail::callable_with<F, How, T>) {
            using R = std::remove_cvref_t<detail::element_result<How, F, T>>;
            const F function(given);
            const auto map = begin_map<How, F>(function, range, options);
            detail::wait_for(*map, options);
            if (auto error = map->failure()) std::rethrow_exception(std::move(error));
            return detail::map_outcomes<R>(*map);
        }
    }

    template <class How, class F, class Given, class Range>
    auto values_later(Given& given, Range& range, const CallOptions& options) {
        using T = detail::map_element<Range>;
        detail::check_map<F, How, T>();
        if constexpr (detail::callable_with<F, How, T>) {
            using R = std::remove_cvref_t<detail::element_result<How, F, T>>;
            const F function(given);
            return Future<detail::map_result<R>>(begin_map<How, F>(function, range, options), &detail::map_values_of<R>);
        }
    }

    template <class How, class Order, class Yield, class F, class Given, class Range>
    auto stream(Given& given, Range&& range, const CallOptions& options) {
        using T = detail::map_element<Range>;
        detail::check_map<F, How, T>();
        if constexpr (detail::callable_with<F, How, T>)
            return Stream<F, How, Order, Yield, std::views::all_t<Range>>(engine_, F(given),
                                                                           std::views::all(std::forward<Range>(range)), options);
    }

    std::shared_ptr<detail::Engine> engine_;
    int exceptions_ = 0;  // in flight when it was made: more of them in the destructor means unwinding
};

}  // namespace mp
