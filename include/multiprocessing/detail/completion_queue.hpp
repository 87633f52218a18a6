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

    /// `tag` is what next() says when it is over. What is over already comes at once.
    void add(std::shared_ptr<Pending> pending, std::uint64_t tag);
    /// Waits for the next that is over; nothing when none is left or `seconds` (below zero: no limit) have passed.
    std::optional<std::uint64_t> next(double seconds);
    /// Added and not given out by next().
    std::size_t left() const;

  private:
    struct State;
    struct Item;
    std::shared_ptr<State> state_;
};

}  // namespace mp::detail
