// Repeats a system call that a signal interrupted.
#pragma once

#include <cerrno>

namespace mp::os {

/// Calls until the result is not -1 with EINTR. Ends because each repetition needs one more signal.
template <class Call>
auto retry(Call call) {
    decltype(call()) result;
    do result = call();
    while (result == -1 && errno == EINTR);
    return result;
}

}  // namespace mp::os
