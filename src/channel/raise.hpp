// Error codes become exceptions here, and sizes become text.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>

namespace mp::channel {

/// Throws SystemError. `operation`: `cannot lock a Lock`.
[[noreturn]] void raise(std::error_code code, const std::string& operation);

/// `64 MiB`, `1.5 KiB`, `12 bytes`.
std::string human_size(std::uint64_t bytes);

}  // namespace mp::channel
