#include "process/inheritance.hpp"

#include <algorithm>

namespace mp::process {

Inheritance Inheritance::of_this_process() {
    Inheritance now;
    for (std::size_t i = 0; i < now.limits.size(); ++i) ::getrlimit(static_cast<__rlimit_resource>(i), &now.limits[i]);
    now.nice = ::getpriority(PRIO_PROCESS, 0);
    now.policy = ::sched_getscheduler(0);
    sched_param parameters{};
    ::sched_getparam(0, &parameters);
    now.priority = parameters.sched_priority;
    ::sched_getaffinity(0, sizeof now.processors, &now.processors);
    return now;
}

bool Inheritance::operator==(const Inheritance& other) const {
    const auto same_limit = [](const rlimit& a, const rlimit& b) {
        return a.rlim_cur == b.rlim_cur && a.rlim_max == b.rlim_max;
    };
    return std::equal(limits.begin(), limits.end(), other.limits.begin(), same_limit) && nice == other.nice &&
           policy == other.policy && priority == other.priority && CPU_EQUAL(&processors, &other.processors);
}

}  // namespace mp::process
