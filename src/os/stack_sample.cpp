#include "os/stack_sample.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "os/futex.hpp"

namespace mp::os {

const int stack_sample_signal = SIGURG;

namespace {

// A signal handler has nowhere else to get them from. Written before the handler is in place.
StackSample* sample_of_this_process = nullptr;
struct sigaction previous_action = {};

void pass_on(int number, siginfo_t* info, void* context) {
    if (previous_action.sa_flags & SA_SIGINFO)
        previous_action.sa_sigaction(number, info, context);
    else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN)
        previous_action.sa_handler(number);
}

void on_signal(int number, siginfo_t* info, void* context) {
    const int saved_errno = errno;
    StackSample& sample = *sample_of_this_process;
    const std::uint32_t request = sample.request.load(std::memory_order_acquire);
    if (request == sample.answer.load(std::memory_order_relaxed)) {
        pass_on(number, info, context);
    } else if (const auto pid = ::getpid(); ::syscall(SYS_gettid) != pid) {
        // The kernel chose another thread, since this one blocks the signal or runs no more.
        ::syscall(SYS_tgkill, pid, pid, number);
    } else {
        write_stack(sample.stack, *static_cast<ucontext_t*>(context));
        sample.answer.store(request, std::memory_order_release);
        futex_wake_all(sample.answer);
    }
    errno = saved_errno;
}

}  // namespace

base::Expected<void> install_stack_sampler(StackSample* sample) {
    prepare_stack_reports();
    sample_of_this_process = sample;
    struct sigaction action{};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    struct sigaction previous{};
    if (::sigaction(stack_sample_signal, &action, &previous) != 0) return base::last_error();
    const bool ours = (previous.sa_flags & SA_SIGINFO) && previous.sa_sigaction == on_signal;
    if (!ours) previous_action = previous;
    return {};
}

}  // namespace mp::os
