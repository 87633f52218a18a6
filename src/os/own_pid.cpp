#include "os/own_pid.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>

namespace mp::os {

namespace {

std::atomic<pid_t> remembered{0};

void look_again() { remembered.store(::getpid(), std::memory_order_relaxed); }

pid_t first_look() {
    ::pthread_atfork(nullptr, nullptr, &look_again);
    look_again();
    return remembered.load(std::memory_order_relaxed);
}

}  // namespace

pid_t own_pid() {
    const pid_t pid = remembered.load(std::memory_order_relaxed);
    return pid ? pid : first_look();
}

}  // namespace mp::os
