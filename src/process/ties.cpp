#include "process/ties.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "os/mapping.hpp"

namespace mp::process {

base::Expected<Ties> make_ties(const char*& missing) {
    Ties ties;
    missing = "pipe";
    int status[2];
    if (::pipe2(status, O_CLOEXEC) != 0) return base::last_error();
    os::UniqueFd end(status[1]);
    ties.status = os::clear_of_streams(os::UniqueFd(status[0]));
    ties.status_end = os::clear_of_streams(std::move(end));
    if (!ties.status || !ties.status_end) return base::last_error();
    auto lifeline = os::make_lifeline();
    if (!lifeline) return lifeline.error();
    ties.lifeline = *std::move(lifeline);
    missing = "memory for its report";
    auto report = os::memory_file("multiprocessing report", sizeof(ReportPage));
    if (!report) return report.error();
    ties.report = *std::move(report);
    return ties;
}

}  // namespace mp::process
