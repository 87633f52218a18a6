// Lets a process die at its first step on shared memory, then another at its second, and so on through the operation.
// Where mp_kill_at_system_calls() (tests/CMakeLists.txt) was asked for, each system call is a step as well.
#pragma once

#include <signal.h>

#include <atomic>

#include <gtest/gtest.h>

#include "shm/kill_point.hpp"
#include "support/child.hpp"

namespace mp::test {

namespace detail {
inline std::atomic<int> steps_left = 0;
inline void die_when_done() {
    if (--steps_left == 0) ::raise(SIGKILL);
}
}  // namespace detail

/// The calling process is killed at its k-th kill point from here on, whichever of its threads comes there.
inline void die_at_step(int k) {
    detail::steps_left = k;
    shm::kill_hook.store(detail::die_when_done);
}

/// For k = 1, 2, …: forks a child that runs `operation` and is killed at its k-th kill point, then calls
/// `survivors(finished)` here. Ends after the first child that finished alive; returns how many steps there were.
template <class Operation, class Survivors>
int kill_each_step(Operation&& operation, Survivors&& survivors, int limit = 100'000) {
    for (int k = 1; k < limit; ++k) {
        Child child([&] {
            die_at_step(k);
            operation();
            return 0;
        });
        const int status = child.wait();
        EXPECT_TRUE(status == 0 || status == -SIGKILL) << "status " << status << " at step " << k;
        survivors(status == 0);
        if (status != -SIGKILL || testing::Test::HasFailure()) return k - 1;
    }
    ADD_FAILURE() << "the operation never ends";
    return limit;
}

}  // namespace mp::test
