// What a process has from the one that forked it and others can change in that one meanwhile, without its doing:
// prlimit(2), renice(1), taskset(1), chrt(1).
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <array>

namespace mp::process {

struct Inheritance {
    std::array<rlimit, RLIM_NLIMITS> limits{};
    bool limits_known = true;  // those of a process with other user ids may not be looked at
    int nice = 0;
    int policy = 0;
    int priority = 0;
    cpu_set_t processors{};

    /// That of another process; 0: of this one.
    static Inheritance of(pid_t pid);
    /// As far as both are known.
    bool operator==(const Inheritance& other) const;
};

}  // namespace mp::process
