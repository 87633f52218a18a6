// Numbers as people write them: 80000, 1_000_000, 1e9, 1.5e6, 2^20, 2^64-1.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace primes {

/// What was wrong with something the user wrote, as one sentence.
class BadInput : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

/// The value of `text`, from 0 to 2^64 - 1. \throws BadInput
std::uint64_t parse_number(std::string_view text);

}  // namespace primes
