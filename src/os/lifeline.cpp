#include "os/lifeline.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>

namespace mp::os {

base::Expected<Lifeline> make_lifeline() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return base::last_error();
    Lifeline line{clear_of_streams(UniqueFd(ends[1])), clear_of_streams(UniqueFd(ends[0]))};
    if (!line.owner || !line.bound) return base::error_of(EMFILE);
    return line;
}

base::Expected<bool> bind_lifeline(int bound) {
    // Signal-driven I/O with SIGKILL instead of SIGIO: no thread, no handler, nothing that foreign code could block.
    // Nothing is ever written to the pipe, so the only event is its end.
    if (::fcntl(bound, F_SETOWN, ::getpid()) != 0) return base::last_error();
    if (::fcntl(bound, F_SETSIG, SIGKILL) != 0) return base::last_error();
    const int flags = ::fcntl(bound, F_GETFL);
    if (flags < 0 || ::fcntl(bound, F_SETFL, flags | O_ASYNC) != 0) return base::last_error();
    pollfd entry{bound, 0, 0};
    ::poll(&entry, 1, 0);
    return (entry.revents & POLLHUP) == 0;
}

}  // namespace mp::os
