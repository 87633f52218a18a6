// The stack of a running process, asked for by another one.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/expected.hpp"
#include "os/stack_report.hpp"

namespace mp::os {

/// Lives zeroed in shared memory. One asks at a time: it counts `request` up, sends stack_sample_signal and waits on
/// the futex word `answer` until it is equal.
struct StackSample {
    std::atomic<std::uint32_t> request;  ///< written by who asks; acquired by the handler
    std::atomic<std::uint32_t> answer;   ///< released by the handler after `stack`, with the request it answers
    StackReport stack;                   ///< written by the handler while the two differ
};

/// SIGURG: nothing happens when it arrives where no handler is, as in a program that the process has executed since.
extern const int stack_sample_signal;

/// Handles the signal from now on: in the thread that the process began with, on its alternate stack. System calls are
/// restarted where the kernel restarts any. A signal that nobody asked for goes to the handler that was there before.
/// `sample` must stay mapped for the rest of the process; to call again (after a fork) replaces it.
base::Expected<void> install_stack_sampler(StackSample* sample);

}  // namespace mp::os
