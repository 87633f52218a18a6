// What ties a process to its owner: one of each for every process.
#pragma once

#include "base/expected.hpp"
#include "os/lifeline.hpp"
#include "os/unique_fd.hpp"
#include "process/report.hpp"

namespace mp::process {

/// Both ends of each, as they are made: by the owner, or by a fork server in advance.
struct Ties {
    os::UniqueFd status;      // the owner reads there how the process ended ...
    os::UniqueFd status_end;  // ... what the server has written
    os::Lifeline lifeline;
    os::UniqueFd report;  // a memory file of one ReportPage, for both
};

/// `missing` names what could not be had.
base::Expected<Ties> make_ties(const char*& missing);

}  // namespace mp::process
