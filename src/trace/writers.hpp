// The files that a session writes. Pure functions of what it has seen.
#pragma once

#include <string>

#include "trace/recording.hpp"

namespace mp::trace {

/// Trace-event JSON, as Perfetto and chrome://tracing read it: each pool a process, each worker a thread.
std::string chrome_json(const Recording& recording);

/// One HTML page that needs nothing else: src/trace/report/ with the recording in it.
std::string report_html(const Recording& recording);

/// The first lines of the report: what happened, in words.
std::string summary_text(const Recording& recording);

}  // namespace mp::trace
