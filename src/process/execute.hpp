// Executes a copy of this program that will find its control socket and never reach main.
#pragma once

#include <sys/types.h>

#include "base/expected.hpp"

namespace mp::process {

/// Starts the copy with the program's own arguments, the caller's environment and the marker. It inherits standard
/// output and error, and `socket`; every other descriptor is closed in it, standard input reads nothing. Does not copy
/// the caller's memory, however large.
base::Expected<pid_t> execute_copy(int socket);

/// To be called first of all by the copy: closes the file that it was executed from.
void close_program_file();

}  // namespace mp::process
