/// \file
/// What the library says about itself on standard error: nothing, unless asked.
#pragma once

#include <cstdint>

#include <multiprocessing/export.hpp>

namespace mp {

/// Each level has what those before it have.
enum class LogLevel : std::uint8_t {
    off,
    /// What went wrong and was survived: workers that died, starts that were refused.
    warning,
    /// The life of pools and processes.
    info,
    /// Each task and each call as well.
    debug,
};

/// The level in force: at first what the environment variable MULTIPROCESSING_LOG says (off, warning, info or debug),
/// and off without it. Processes that this one starts have the level that was in force then. Any thread.
///
/// A record is one line of key=value on standard error, written at once and whole:
/// `multiprocessing time=2026-11-26T15:45:31.123456Z level=info pid=4711 event=worker.started pool=parse worker=2
/// child=4720 source=insight.cpp:74`.
MP_EXPORT LogLevel log_level() noexcept;
/// From now on, in this process and those it starts later. Any thread.
MP_EXPORT void set_log_level(LogLevel level) noexcept;

}  // namespace mp
