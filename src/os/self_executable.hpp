// The file of the running program, to start a copy of it.
#pragma once

#include <string>

#include "os/unique_fd.hpp"

namespace mp::os {

struct SelfExecutable {
    UniqueFd file;       ///< open for reading and executing, close-on-exec; execveat(file, "", ..., AT_EMPTY_PATH) works
    std::string path;    ///< what to pass to execve; while `file` is open /proc/self/fd/N names the same file
    std::string reason;  ///< when `file` is empty: why there is none, as the end of a sentence
};

/// Finds the file this program was started from and makes sure that it is this program, by its build-id:
/// /proc/self/exe is valgrind or ld.so when the program runs under them, and a path may by now hold another build.
SelfExecutable self_executable();

}  // namespace mp::os
