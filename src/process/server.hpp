// The life of an exec'ed copy of the program that serves another process of the same program.
#pragma once

#include "process/worker_mode.hpp"

namespace mp::process {

/// Runs in a marked copy in place of main, after its static initialisers; returns the exit code of the copy.
int run_marked_copy(Marker marker, int argc, char** argv);

}  // namespace mp::process
