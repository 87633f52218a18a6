// How a process that the library started tells its owner, and its own standard error, what went wrong in it.
#pragma once

#include <exception>

#include "process/boot.hpp"

namespace mp::process {

/// From now on exceptions remember where they were thrown, here and in what is forked from here; and there is a stack for
/// the handler of an overflow.
void prepare_failure_reports();

/// From now on crashes are written to the report page, and the owner is told the stack when it asks.
void report_failures(const Self& self);

/// An exception that nobody caught: to standard error with its stack, and to the report page for the owner.
void report_failure(const std::exception_ptr& failure, const Self& self);

/// What report_failure() wrote, as an exception again; null when there is nothing.
std::exception_ptr read_failure(const ReportPage& page, const std::string& name);

}  // namespace mp::process
