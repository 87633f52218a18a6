// Which process it is, even after its number has been given to another one.
#pragma once

#include <cstdint>

namespace mp::os {

struct ProcessIdentity {
    std::uint64_t pid = 0;    // 0: nobody
    std::uint64_t start = 0;  // when it was started, in clock ticks since boot

    friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

/// The calling process; cheap after the first call.
ProcessIdentity this_process();

/// Whether that process runs: not ended, not a zombie, not another one with the same number. True when /proc does not tell.
bool is_alive(const ProcessIdentity& process);

}  // namespace mp::os
