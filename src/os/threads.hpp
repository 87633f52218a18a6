// The threads of this process, as the kernel sees them.
#pragma once

#include <string>
#include <vector>

namespace mp::os {

/// Names of the threads besides the caller, without ignored ones and the one of ThreadSanitizer: `worker (tid 812)`.
std::vector<std::string> other_threads();

/// Built with ThreadSanitizer, whose runtime has a thread of its own that is no danger to a fork.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitizer = true;
#else
inline constexpr bool thread_sanitizer = false;
#endif
#else
inline constexpr bool thread_sanitizer = false;
#endif

/// A thread of the library itself that holds no lock a forked child could need.
class IgnoredThread {
  public:
    IgnoredThread();
    ~IgnoredThread();
    IgnoredThread(const IgnoredThread&) = delete;
    IgnoredThread& operator=(const IgnoredThread&) = delete;
};

}  // namespace mp::os
