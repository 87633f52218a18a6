/// \file
/// Several pieces of work, in the order in which they are over.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <multiprocessing/detail/engine.hpp>
#include <multiprocessing/export.hpp>

namespace mp::detail {

/// For one caller, of one thread at a time. Work of one engine is waited for by helping that engine; work of several is
/// noticed by their callback threads.
class MP_EXPORT CompletionQueue {
  public:
    /// `only`: the engine of all that will be added; null when there are several.
    explicit CompletionQueue(Engine* only);
    /// Forgets what is not over; it goes on.
    ~CompletionQueue();
    CompletionQueue(const CompletionQueue&) = delete;
    CompletionQueue& operator=(const CompletionQueue&) = delete;

    struct Done {
        std::uint64_t tag = 0;
        std::shared_ptr<Pending> pending;
    };

    /// `tag` is what next() says when it is over. What is over already comes at once.
    void add(std::shared_ptr<Pending> pending, std::uint64_t tag = 0);
    /// The same for work that does not exist yet: what is to be told of it (TaskSpec::completion), and then, at once, the
    /// work that was given that.
    const std::shared_ptr<Completion>& next_completion();
    void add_told(std::shared_ptr<Pending> pending, std::uint64_t tag = 0);
    /// Waits for the next that is over; nothing when none is left or `seconds` (below zero: no limit) have passed.
    std::optional<Done> next(double seconds);
    /// Added and not given out by next().
    std::size_t left() const;
    /// Cancels all that is left.
    void cancel();

  private:
    struct State;
    struct Item;
    bool wait(double seconds);

    std::shared_ptr<State> state_;
};

}  // namespace mp::detail
