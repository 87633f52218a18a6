#include "process/inheritance.hpp"

#include <algorithm>

namespace mp::process {

Inheritance Inheritance::of(pid_t pid) {
    Inheritance now;
    for (std::size_t i = 0; i < now.limits.size(); ++i)
        if (::prlimit(pid, static_cast<__rlimit_resource>(i), nullptr, &now.limits[i]) != 0) now.limits_known = false;
    now.nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
    now.policy = ::sched_getscheduler(pid);
    sched_param parameters{};
    ::sched_getparam(pid, &parameters);
    now.priority = parameters.sched_priority;
    ::sched_getaffinity(pid, sizeof now.processors, &now.processors);
    return now;
}

bool Inheritance::operator==(const Inheritance& other) const {
    const auto same_limit = [](const rlimit& a, const rlimit& b) {
        return a.rlim_cur == b.rlim_cur && a.rlim_max == b.rlim_max;
    };
    const bool same_limits = !limits_known || !other.limits_known ||
                             std::equal(limits.begin(), limits.end(), other.limits.begin(), same_limit);
    return same_limits && nice == other.nice && policy == other.policy && priority == other.priority &&
           CPU_EQUAL(&processors, &other.processors);
}

}  // namespace mp::process
