#include <multiprocessing/wait.hpp>

#include <poll.h>

#include <algorithm>

#include "base/deadline.hpp"
#include "base/expected.hpp"
#include "channel/raise.hpp"

namespace mp::detail {

std::vector<std::size_t> wait_any(std::span<const Waitable> objects, WaitLimit limit) {
    const auto deadline = base::Deadline::after(limit);
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < objects.size(); ++i) {
        if (objects[i].internal_ready()) ready.push_back(i);
    }
    // What is ready by itself costs no descriptor; but a host's descriptor or a process may be ready as well.
    const bool only_known = std::ranges::all_of(objects, [](const Waitable& w) { return w.internal_knows(); });
    if (only_known && (!ready.empty() || limit == not_at_all)) return ready;
    std::vector<pollfd> descriptors;
    for (const auto& object : objects) {
        descriptors.push_back({object.internal_descriptor(), POLLIN, 0});
        if (descriptors.back().fd < 0) channel::raise(base::error_of(EBADF), "cannot wait for several objects");
    }
    for (;;) {
        const int timeout = ready.empty() ? deadline.poll_timeout() : 0;
        const int found = ::poll(descriptors.data(), descriptors.size(), timeout);
        if (found < 0 && errno != EINTR) channel::raise(base::last_error(), "cannot wait for several objects");
        ready.clear();
        for (std::size_t i = 0; i < objects.size(); ++i) {
            if (!objects[i].internal_knows()) {
                if (found > 0 && descriptors[i].revents & POLLNVAL) {
                    channel::raise(base::error_of(EBADF), "cannot wait for several objects");
                }
                if (found > 0 && descriptors[i].revents != 0) ready.push_back(i);
            } else if (objects[i].internal_ready()) {
                ready.push_back(i);
            } else if (found > 0 && descriptors[i].revents != 0) {
                objects[i].internal_settle();
            }
        }
        if (!ready.empty() || deadline.expired()) return ready;
    }
}

}  // namespace mp::detail
