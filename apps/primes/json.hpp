// The result for programs.
#pragma once

#include <string>
#include <vector>

#include "primes/result.hpp"

namespace primes {

/// One object: start end count seconds workers[{pid, count, tasks, busy_seconds}] method mode; with `frequency` also
/// the count of each part. `partial` and `events` appear when there is something to say.
std::string json_text(const Result& result, bool frequency);

/// One object: start end method and runs, the results of all modes with speed_up and efficiency over the first.
std::string comparison_json(const std::vector<Result>& results);

}  // namespace primes
