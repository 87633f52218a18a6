// The report without its recording: made from src/trace/report/ when the library is built (cmake/embed_report.cmake).
#pragma once

namespace mp::trace {

/// Holds @TITLE@, @SUMMARY@ and @DATA@, to be replaced.
extern const char report_page[];

}  // namespace mp::trace
