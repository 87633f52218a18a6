// What a process holds that could be left behind, read from /proc: the material of LeakCheck.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mp::test {

/// One thing that could leak. `identity` tells it from its equals at another time; `text` is for people.
struct Resource {
    std::string identity;
    std::string text;
};

struct Process {
    pid_t pid;
    pid_t parent;
    char state;
    std::string start_time;  // in clock ticks since boot; with the pid it names a process for ever
    std::string text;        // pid, parent, command line
};

/// The processes below `root` at any depth, dead ones that were not reaped included, without the caller.
std::vector<Process> descendants(pid_t root);

struct Snapshot {
    std::vector<Resource> processes;    // see descendants()
    std::vector<Resource> descriptors;  // of the caller
    std::vector<Resource> threads;      // of the caller
    std::vector<Resource> mappings;     // shared ones of the caller
    std::vector<Resource> files;        // in /dev/shm, the test's own TMPDIR, and those in /tmp named after the library
};

/// Reads all of it, now. `root` is the process whose descendants count.
Snapshot take_snapshot(pid_t root);

/// What `after` holds that `before` does not, one line each, such as `descriptor 7 -> pipe:[123]`. Empty when nothing.
std::vector<std::string> leaks(const Snapshot& before, const Snapshot& after);

}  // namespace mp::test
