// --crash-worker K: the one worker that is killed on purpose.
#pragma once

#include <chrono>
#include <functional>

#include "primes/result.hpp"

namespace primes {

class PlannedCrash {
  public:
    /// `kill(i)` kills worker i, counted from 0, and returns its pid; 0 when it is not at work.
    using Kill = std::function<int(unsigned worker)>;

    /// `number` counts the workers from 1; 0: none is to die.
    PlannedCrash(unsigned number, Kill kill) : number_(number), kill_(std::move(kill)) {}

    /// How long to wait for results before looking again: not long while there is somebody to catch in mid-run.
    std::chrono::milliseconds patience() const { return std::chrono::milliseconds(number_ ? 2 : 50); }

    /// Kills the worker once something was counted. Call it while there is more to count.
    void look(Result& result);

    /// To be called at the end: says so when it came too late.
    void finish(Result& result) const;

  private:
    unsigned number_;
    Kill kill_;
};

}  // namespace primes
