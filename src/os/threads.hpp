// The threads of this process, as the kernel sees them.
#pragma once

#include <string>
#include <vector>

namespace mp::os {

/// Names of the threads besides the caller, without those that called `ignore_this_thread`: `worker (tid 812)`.
std::vector<std::string> other_threads();

/// A thread of the library itself that holds no lock a forked child could need.
class IgnoredThread {
  public:
    IgnoredThread();
    ~IgnoredThread();
    IgnoredThread(const IgnoredThread&) = delete;
    IgnoredThread& operator=(const IgnoredThread&) = delete;
};

}  // namespace mp::os
