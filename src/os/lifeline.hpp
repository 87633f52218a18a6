// A process that cannot outlive its owner: the kernel kills it when the last descriptor of the owner's end closes.
#pragma once

#include <utility>

#include "base/expected.hpp"
#include "os/unique_fd.hpp"

namespace mp::os {

/// The end that the owner keeps, and the end that the process to be bound receives.
struct Lifeline {
    UniqueFd owner;
    UniqueFd bound;
};
base::Expected<Lifeline> make_lifeline();

/// Binds the calling process to its end: from now on SIGKILL comes from the kernel the moment the owner's end is gone,
/// whatever this process is doing and whichever of its threads runs. False when it is gone already.
base::Expected<bool> bind_lifeline(int bound);

}  // namespace mp::os
