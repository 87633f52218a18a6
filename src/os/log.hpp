// Records of what the library does, on standard error.
//
//     if (os::logs(LogLevel::info)) os::LogLine(LogLevel::info, "worker.started").add("pool", name).add("worker", 2);
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <source_location>
#include <string>
#include <string_view>

#include <multiprocessing/log.hpp>

namespace mp::os {

/// A LogLevel; 255 before the environment was looked at.
inline std::atomic<std::uint8_t> level_in_force{255};

/// Whether records of this level are written: one load and a branch.
inline bool logs(LogLevel level) {
    const std::uint8_t known = level_in_force.load(std::memory_order_relaxed);
    return (known == 255 ? static_cast<std::uint8_t>(log_level()) : known) >= static_cast<std::uint8_t>(level);
}

/// One record, written when it ends. Values are quoted where they need it, so that a line can always be taken apart.
class LogLine {
  public:
    LogLine(LogLevel level, std::string_view event, std::source_location where = std::source_location::current());
    LogLine(const LogLine&) = delete;
    LogLine& operator=(const LogLine&) = delete;
    ~LogLine();

    LogLine& add(std::string_view key, std::string_view value);
    template <std::integral Number>
    LogLine& add(std::string_view key, Number value) {
        return add(key, std::string_view(std::to_string(value)));
    }
    LogLine& add(std::string_view key, std::chrono::nanoseconds value) {
        return add(key, std::string_view(std::to_string(static_cast<double>(value.count()) / 1e9) + "s"));
    }

  private:
    std::string text_;
    const std::source_location where_;
};

}  // namespace mp::os
