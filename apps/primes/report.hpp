// The result as text.
#pragma once

#include <string>
#include <vector>

#include "primes/result.hpp"

namespace primes {

/// The count, a line per worker, the time.
std::string report_text(const Result& result);

/// The modes side by side; speed-up and efficiency are over the first result, the serial one.
std::string comparison_text(const std::vector<Result>& results);

}  // namespace primes
