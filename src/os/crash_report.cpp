#include "os/crash_report.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

// Provided by every sanitizer runtime, by nothing else.
extern "C" [[gnu::weak]] void __sanitizer_print_stack_trace();

namespace mp::os {
namespace {

constexpr int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
constexpr std::size_t alternate_stack_size = 64 * 1024;

/// All the handler may touch. Written by install_crash_handler before the handlers are in place.
struct HandlerState {
    CrashReport* report = nullptr;
    pid_t owner = 0;  // a fork of it crashes on its own account
    int notify_fd = -1;
    struct sigaction previous[std::size(fatal_signals)] = {};
    bool chain = false;
};
HandlerState handler_state;  // a signal handler has nowhere else to get it from

/// The alternate stack of a thread, and where its real stack ends.
struct ThreadArmour {
    ThreadArmour() = default;
    ThreadArmour(const ThreadArmour&) = delete;
    ~ThreadArmour() {
        // That of the first thread ends with the process: destructors of static objects may crash as well.
        if (!base_ || ::gettid() == ::getpid()) return;
        stack_t current{};
        stack_t off{};
        off.ss_flags = SS_DISABLE;
        if (::sigaltstack(nullptr, &current) == 0 && current.ss_sp == usable()) ::sigaltstack(&off, nullptr);
        ::munmap(base_, total());
    }

    base::Expected<void> put_on() {
        if (base_) return use();
        void* memory =
            ::mmap(nullptr, total(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return base::last_error();
        base_ = static_cast<char*>(memory);
        ::mprotect(base_, page(), PROT_NONE);  // the handler's own overflow ends in the default action
        return use();
    }

  private:
    static std::size_t page() {
        static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        return size;
    }
    static std::size_t total() { return page() + alternate_stack_size; }
    char* usable() const { return base_ + page(); }
    base::Expected<void> use() {
        stack_t stack{};
        stack.ss_sp = usable();
        stack.ss_size = alternate_stack_size;
        if (::sigaltstack(&stack, nullptr) != 0) return base::last_error();
        return {};
    }

    char* base_ = nullptr;
};
thread_local ThreadArmour armour;

std::uint64_t stack_pointer(const ucontext_t& context) {
#if defined(__x86_64__)
    return static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
    return context.uc_mcontext.sp;
#else
    (void)context;
    return 0;
#endif
}

bool looks_like_overflow(const siginfo_t& info, const ucontext_t& context) {
    if (info.si_signo != SIGSEGV && info.si_signo != SIGBUS) return false;
    if (info.si_code <= 0) return false;
    const auto address = reinterpret_cast<std::uint64_t>(info.si_addr);
    const std::uint64_t sp = stack_pointer(context);
    // Memory around the stack pointer is there, unless the stack has ended. A frame may be large, and the red zone or a
    // call's pushes lie below the pointer.
    constexpr std::uint64_t below = 64 * 1024, above = 1024 * 1024;
    return sp != 0 && address + below >= sp && address < sp + above;
}

/// Threads often crash together, and the second must not kill the process while the first writes. At most a second.
void let_the_first_finish(const CrashReport& report) {
    const timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
    for (int i = 0; i < 1000 && report.state.load(std::memory_order_relaxed) != CrashReport::complete; ++i)
        ::nanosleep(&millisecond, nullptr);
}

/// Whether the kernel will write a core, or hand one to a program, when it kills this process.
bool may_write_core() {
    rlimit limit{};
    if (::prctl(PR_GET_DUMPABLE) != 1 || ::getrlimit(RLIMIT_CORE, &limit) != 0) return false;
    char first = 0;
    if (const int file = ::open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC); file >= 0) {
        [[maybe_unused]] const ssize_t size = ::read(file, &first, 1);
        ::close(file);
    }
    // A program that takes cores gets them whatever the limit; 1 is the kernel's guard against dumping that program.
    return first == '|' ? limit.rlim_cur != 1 : limit.rlim_cur > 0;
}

void write_report(const siginfo_t& info, ucontext_t& context) {
    CrashReport* report = handler_state.report;
    if (!report) return;
    std::uint32_t expected = CrashReport::empty;
    if (!report->state.compare_exchange_strong(expected, CrashReport::claimed, std::memory_order_relaxed)) {
        let_the_first_finish(*report);
        return;
    }
    const bool sent = info.si_code <= 0;
    report->signal = info.si_signo;
    report->code = info.si_code;
    report->tid = static_cast<std::int32_t>(::syscall(SYS_gettid));
    // The kernel does not tell the address of a general protection fault (SI_KERNEL).
    report->has_address = !sent && info.si_signo != SIGABRT && info.si_signo != SIGSYS && info.si_code != SI_KERNEL;
    report->address = report->has_address ? reinterpret_cast<std::uint64_t>(info.si_addr) : 0;
    report->stack_overflow = looks_like_overflow(info, context);
    ::prctl(PR_GET_NAME, report->thread_name, 0, 0, 0);
    report->main_thread = report->tid == ::getpid();
    report->core_expected = may_write_core();
    report->state.store(CrashReport::facts, std::memory_order_release);  // acquired by read_crash_report

    write_stack(report->stack, context);  // leaves the context as it was, for the fault to recur
    report->state.store(CrashReport::complete, std::memory_order_release);  // acquired by read_crash_report
}

void on_fatal_signal(int number, siginfo_t* info, void* context) {
    const int saved_errno = errno;
    const bool own = ::getpid() == handler_state.owner;
    if (own) write_report(*info, *static_cast<ucontext_t*>(context));
    if (own && handler_state.notify_fd >= 0) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(handler_state.notify_fd, &one, sizeof one);
    }
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    for (std::size_t i = 0; i < std::size(fatal_signals); ++i) {
        if (fatal_signals[i] != number) continue;
        if (handler_state.chain) action = handler_state.previous[i];
        ::sigaction(number, &action, nullptr);
    }
    // A fault recurs by itself when its instruction is tried again. What was sent, and what is reported after the
    // instruction, has to be sent again; it arrives when this handler returns.
    if (info->si_code <= 0 || number == SIGABRT || number == SIGSYS || number == SIGTRAP)
        ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), number);
    errno = saved_errno;
}

}  // namespace

base::Expected<void> arm_this_thread() { return armour.put_on(); }

void notify_of_crashes(int fd) { handler_state.notify_fd = fd; }

base::Expected<void> install_crash_handler(CrashReport* report) {
    if (auto armed = arm_this_thread(); !armed) return armed.error();
    prepare_stack_reports();
    handler_state.report = report;
    handler_state.owner = ::getpid();
    handler_state.chain = __sanitizer_print_stack_trace != nullptr;
    for (std::size_t i = 0; i < std::size(fatal_signals); ++i) {
        struct sigaction action{};
        action.sa_sigaction = on_fatal_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigfillset(&action.sa_mask);  // a second fault finds its signal blocked: the kernel then kills at once
        struct sigaction previous{};
        if (::sigaction(fatal_signals[i], &action, &previous) != 0) return base::last_error();
        const bool ours = (previous.sa_flags & SA_SIGINFO) && previous.sa_sigaction == on_fatal_signal;
        if (!ours) handler_state.previous[i] = previous;
    }
    return {};
}

std::optional<Crash> read_crash_report(const CrashReport& report) {
    if (report.state.load(std::memory_order_acquire) < CrashReport::facts) return std::nullopt;
    Crash crash;
    crash.signal = report.signal;
    crash.code = report.code;
    crash.tid = report.tid;
    crash.main_thread = report.main_thread != 0;
    if (report.has_address) crash.address = report.address;
    crash.stack_overflow = report.stack_overflow != 0;
    crash.thread_name.assign(report.thread_name, ::strnlen(report.thread_name, sizeof report.thread_name));
    crash.stack = read_stack(report.stack);
    return crash;
}

}  // namespace mp::os
