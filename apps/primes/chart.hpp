// The frequency of primes as a bar chart in the terminal.
#pragma once

#include <string>

#include "primes/result.hpp"

namespace primes {

/// A line for each part of the range, at most `columns` wide where bounds and counts leave room for a bar. `blocks`
/// allows characters that need UTF-8.
std::string chart_text(const Result& result, unsigned columns, bool blocks);

/// Whether the locale's encoding is UTF-8, by the environment.
bool locale_is_utf8();

}  // namespace primes
