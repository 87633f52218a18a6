#include "channel/raise.hpp"

#include <cstdio>

#include <multiprocessing/errors.hpp>

namespace mp::channel {

void raise(std::error_code code, const std::string& operation) { throw SystemError(code, operation); }

std::string human_size(std::uint64_t bytes) {
    if (bytes < 1024) return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
    const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto size = static_cast<double>(bytes) / 1024;
    int unit = 0;
    for (; size >= 1024 && unit < 5; ++unit) size /= 1024;
    char text[32];
    const double rest = size - static_cast<double>(static_cast<std::uint64_t>(size));
    const bool whole = rest < 0.05;
    std::snprintf(text, sizeof text, whole ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return text;
}

}  // namespace mp::channel
