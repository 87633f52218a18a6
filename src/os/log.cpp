#include "os/log.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "os/retry.hpp"

namespace mp {
namespace {

constexpr const char* names[] = {"off", "warning", "info", "debug"};

LogLevel from_environment() {
    const char* text = std::getenv("MULTIPROCESSING_LOG");
    if (!text || !*text) return LogLevel::off;
    for (std::uint8_t level = 0; level < std::size(names); ++level)
        if (std::strcmp(text, names[level]) == 0) return static_cast<LogLevel>(level);
    // Somebody wants to know something.
    return LogLevel::info;
}

}  // namespace

LogLevel log_level() noexcept {
    std::uint8_t level = os::level_in_force.load(std::memory_order_relaxed);
    if (level == 255) {
        // Of two threads that look at once, both find the same; and one that sets it meanwhile stays in force.
        const auto found = static_cast<std::uint8_t>(from_environment());
        if (os::level_in_force.compare_exchange_strong(level, found, std::memory_order_relaxed)) level = found;
    }
    return static_cast<LogLevel>(level);
}

void set_log_level(LogLevel level) noexcept {
    os::level_in_force.store(static_cast<std::uint8_t>(std::min(level, LogLevel::debug)), std::memory_order_relaxed);
}

}  // namespace mp

namespace mp::os {
namespace {

bool is_plain(char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           std::strchr("_.:/+-", byte) != nullptr;
}

std::string time_text() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    std::tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[40];
    std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &parts);
    std::string result(text, size);
    const std::string micros = std::to_string(now.tv_nsec / 1000);
    return result + std::string(6 - micros.size(), '0') + micros + 'Z';
}

}  // namespace

LogLine::LogLine(LogLevel level, std::string_view event, std::source_location where)
    : text_("multiprocessing"), where_(where) {
    add("time", std::string_view(time_text()));
    add("level", std::string_view(names[static_cast<std::size_t>(level)]));
    add("pid", ::getpid());
    add("event", event);
}

LogLine& LogLine::add(std::string_view key, std::string_view value) {
    text_ += ' ';
    text_ += key;
    text_ += '=';
    if (!value.empty() && std::ranges::all_of(value, [](char byte) { return byte != '\0' && is_plain(byte); })) {
        text_ += value;
        return *this;
    }
    text_ += '"';
    for (const char byte : value) {
        if (byte == '"' || byte == '\\')
            (text_ += '\\') += byte;
        else if (byte == '\n')
            text_ += "\\n";
        else if (static_cast<unsigned char>(byte) < ' ' || byte == '\x7f')
            text_ += '?';
        else
            text_ += byte;
    }
    text_ += '"';
    return *this;
}

LogLine::~LogLine() {
    const std::string_view path = where_.file_name();
    add("source",
        std::string_view(std::string(path.substr(path.rfind('/') + 1)) + ':' + std::to_string(where_.line())));
    text_ += '\n';
    // One write a record: those of several processes do not run into each other. What cannot be written is not worth an
    // error.
    static_cast<void>(retry([&] { return ::write(STDERR_FILENO, text_.data(), text_.size()); }));
}

}  // namespace mp::os
