#include "os/line_sink.hpp"

#include <poll.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace mp::os {
void write_lines(int stream, std::string_view lines) {
    while (!lines.empty()) {
        const auto written = ::write(stream, lines.data(), lines.size());
        if (written > 0) {
            lines.remove_prefix(static_cast<std::size_t>(written));
        } else if (written < 0 && errno == EAGAIN) {
            pollfd entry{stream, POLLOUT, 0};  // the program has made its stream non-blocking
            if (::poll(&entry, 1, -1) < 0 && errno != EINTR) return;
        } else if (written == 0 || errno != EINTR) {
            return;
        }
    }
}

void flush_own_output() {
    // Whoever holds the stream's lock may be waiting for this very thread.
    if (::__fpending(stdout) == 0 || ::ftrylockfile(stdout) != 0) return;
    ::fflush_unlocked(stdout);
    ::funlockfile(stdout);
}

}  // namespace mp::os
