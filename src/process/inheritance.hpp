// What a process has from the one that forked it and others can change in that one meanwhile, without its doing:
// prlimit(2), renice(1), taskset(1), chrt(1).
#pragma once

#include <sched.h>
#include <sys/resource.h>

#include <array>

namespace mp::process {

struct Inheritance {
    std::array<rlimit, RLIM_NLIMITS> limits{};
    int nice = 0;
    int policy = 0;
    int priority = 0;
    cpu_set_t processors{};

    static Inheritance of_this_process();
    bool operator==(const Inheritance& other) const;
};

}  // namespace mp::process
