#include "primes/planned_crash.hpp"

#include <fmt/format.h>

namespace primes {

void PlannedCrash::look(Result& result) {
    if (number_ == 0 || result.done == 0) return;
    const int pid = kill_(number_ - 1);
    if (pid == 0) return;
    result.events.push_back(fmt::format(
        "worker {} (pid {}) was killed on purpose; what it had not finished was counted by another", number_, pid));
    number_ = 0;
}

void PlannedCrash::finish(Result& result) const {
    if (number_ == 0 || result.partial) return;
    result.events.push_back(
        fmt::format("worker {} was not killed: the count was complete before it could be caught at work", number_));
}

}  // namespace primes
