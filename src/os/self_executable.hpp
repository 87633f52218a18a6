// The file of the running program, to start a copy of it.
#pragma once

#include <string>

#include "os/unique_fd.hpp"

namespace mp::os {

struct SelfExecutable {
    UniqueFd file;       ///< open, close-on-exec
    std::string path;    ///< to pass to execve while `file` is open, also in a fork: /proc/self/fd/N. Set the new process's
                         ///< name (PR_SET_NAME), which else is N.
    std::string reason;  ///< when `file` is empty: why there is none, as a sentence without its end
};

/// Finds the file this program was started from and makes sure that it is this program, by its build-id:
/// /proc/self/exe is valgrind or ld.so when the program runs under them, and a path may by now hold another build.
SelfExecutable self_executable();

}  // namespace mp::os
