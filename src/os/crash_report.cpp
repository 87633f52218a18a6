#include "os/crash_report.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "os/build_id.hpp"
#include "os/raw_stack.hpp"

// Provided by every sanitizer runtime, by nothing else.
extern "C" [[gnu::weak]] void __sanitizer_print_stack_trace();

namespace mp::os {
namespace {

constexpr int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
constexpr std::size_t alternate_stack_size = 64 * 1024;

/// All the handler may touch. Written by install_crash_handler before the handlers are in place.
struct HandlerState {
    CrashReport* report = nullptr;
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
        if (!base_) return;
        stack_t current{};
        stack_t off{};
        off.ss_flags = SS_DISABLE;
        if (::sigaltstack(nullptr, &current) == 0 && current.ss_sp == usable()) ::sigaltstack(&off, nullptr);
        ::munmap(base_, total());
    }

    base::Expected<void> put_on() {
        if (base_) return use();
        void* memory = ::mmap(nullptr, total(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return base::last_error();
        base_ = static_cast<char*>(memory);
        ::mprotect(base_, page(), PROT_NONE);  // the handler's own overflow ends in the default action
        return use();
    }

  private:
    static std::size_t page() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }
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

std::uint64_t program_counter(const ucontext_t& context) {
#if defined(__x86_64__)
    return static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return context.uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/// Makes the context what it was before the call of a function that does not exist: the unwinder cannot begin there.
void undo_call(ucontext_t& context) {
#if defined(__x86_64__)
    auto& registers = context.uc_mcontext.gregs;
    registers[REG_RIP] = *reinterpret_cast<const greg_t*>(registers[REG_RSP]);
    registers[REG_RSP] += 8;
#elif defined(__aarch64__)
    context.uc_mcontext.pc = context.uc_mcontext.regs[30];
#else
    (void)context;
#endif
}

/// The module around an address, without taking the loader's lock, which the dying thread may hold.
bool find_module(std::uint64_t address, dl_find_object& found) {
    return ::_dl_find_object(reinterpret_cast<void*>(address), &found) == 0;
}

void copy_path(char (&to)[224], const char* from) {
    const std::size_t length = std::strlen(from);
    const std::size_t skip = length < sizeof to ? 0 : length - (sizeof to - 1);
    std::memcpy(to, from + skip, length - skip + 1);
}

/// Index of the module in the report, entered when it is new.
std::uint32_t module_index(CrashReport& report, const dl_find_object& found, char (&own_path)[224]) {
    const char* path = found.dlfo_link_map->l_name;
    if (!path || !*path) path = own_path;
    const BuildId build_id = build_id_of_image(found.dlfo_map_start);
    const auto id = build_id.bytes();
    CrashModule next{};
    copy_path(next.path, path);
    next.build_id_size = static_cast<std::uint32_t>(std::min(id.size(), sizeof next.build_id));
    std::memcpy(next.build_id, id.data(), next.build_id_size);
    for (std::uint32_t i = 0; i < report.module_count; ++i)
        if (std::memcmp(&report.modules[i], &next, sizeof next) == 0) return i;
    if (report.module_count == CrashReport::max_modules) return CrashReport::no_module;
    report.modules[report.module_count] = next;
    return report.module_count++;
}

struct Walk {
    CrashReport* report;
    std::uint64_t fault_pc;
    bool fault_pc_is_return_address = false;
    bool started = false;     // past the handler's own frames
    unsigned visited = 0;
    char own_path[224] = {};  // the loader does not know the program's own
};

void add_frame(Walk& walk, std::uint64_t address, bool return_address) {
    CrashReport& report = *walk.report;
    const std::uint32_t count = report.frame_count.load(std::memory_order_relaxed);
    if (count == CrashReport::max_frames) return;
    CrashFrame& frame = report.frames[count];
    frame.return_address = return_address;
    dl_find_object found;
    if (find_module(address - (return_address ? 1 : 0), found)) {
        frame.module = module_index(report, found, walk.own_path);
        frame.offset = frame.module == CrashReport::no_module ? address : address - found.dlfo_link_map->l_addr;
    } else {
        frame.module = CrashReport::no_module;
        frame.offset = address;
    }
    report.frame_count.store(count + 1, std::memory_order_release);  // acquired by read_crash_report
}

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
    auto& walk = *static_cast<Walk*>(argument);
    int before = 0;
    const auto address = static_cast<std::uint64_t>(_Unwind_GetIPInfo(context, &before));
    if (++walk.visited > 1000) return _URC_END_OF_STACK;
    const bool first = !walk.started && address == walk.fault_pc;
    if (first) walk.started = true;
    if (!walk.started || address == 0) return _URC_NO_REASON;
    add_frame(walk, address, first ? walk.fault_pc_is_return_address : before == 0);
    if (walk.report->frame_count.load(std::memory_order_relaxed) == CrashReport::max_frames) return _URC_END_OF_STACK;
    return _URC_NO_REASON;
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
    report->state.store(CrashReport::facts, std::memory_order_release);  // acquired by read_crash_report

    Walk walk{.report = report, .fault_pc = program_counter(context)};
    const ssize_t length = ::readlink("/proc/self/exe", walk.own_path, sizeof walk.own_path - 1);
    walk.own_path[std::max<ssize_t>(length, 0)] = '\0';
    const mcontext_t registers = context.uc_mcontext;
    dl_find_object found;
    if (!find_module(walk.fault_pc, found)) {
        add_frame(walk, walk.fault_pc, false);
        undo_call(context);
        walk.fault_pc = program_counter(context);
        walk.fault_pc_is_return_address = true;
    }
    _Unwind_Backtrace(visit, &walk);
    // Code without unwinding information: its place at least.
    if (!walk.started && find_module(walk.fault_pc, found))
        add_frame(walk, walk.fault_pc, walk.fault_pc_is_return_address);
    context.uc_mcontext = registers;  // for the fault to recur as it was
    report->state.store(CrashReport::complete, std::memory_order_release);  // acquired by read_crash_report
}

void on_fatal_signal(int number, siginfo_t* info, void* context) {
    const int saved_errno = errno;
    write_report(*info, *static_cast<ucontext_t*>(context));
    if (handler_state.notify_fd >= 0) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(handler_state.notify_fd, &one, sizeof one);
    }
    struct sigaction action {};
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

_Unwind_Reason_Code stop_at_once(_Unwind_Context*, void*) { return _URC_END_OF_STACK; }

}  // namespace

base::Expected<void> arm_this_thread() { return armour.put_on(); }

base::Expected<void> install_crash_handler(CrashReport* report, int notify_fd) {
    if (auto armed = arm_this_thread(); !armed) return armed.error();
    _Unwind_Backtrace(stop_at_once, nullptr);  // whatever the unwinder loads or allocates, now is the time
    handler_state.report = report;
    handler_state.notify_fd = notify_fd;
    handler_state.chain = __sanitizer_print_stack_trace != nullptr;
    for (std::size_t i = 0; i < std::size(fatal_signals); ++i) {
        struct sigaction action {};
        action.sa_sigaction = on_fatal_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigfillset(&action.sa_mask);  // a second fault finds its signal blocked: the kernel then kills at once
        struct sigaction previous {};
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
    if (report.has_address) crash.address = report.address;
    crash.stack_overflow = report.stack_overflow != 0;
    crash.thread_name.assign(report.thread_name, ::strnlen(report.thread_name, sizeof report.thread_name));
    RawStack raw;
    const std::uint32_t frames = std::min(report.frame_count.load(std::memory_order_acquire), CrashReport::max_frames);
    const std::uint32_t modules = std::min(report.module_count, CrashReport::max_modules);
    for (std::uint32_t i = 0; i < modules; ++i) {
        const CrashModule& from = report.modules[i];
        RawModule module;
        module.path.assign(from.path, ::strnlen(from.path, sizeof from.path));
        const std::size_t size = std::min<std::size_t>(from.build_id_size, sizeof from.build_id);
        module.build_id.assign(from.build_id, from.build_id + size);
        raw.modules.push_back(std::move(module));
    }
    for (std::uint32_t i = 0; i < frames; ++i)
        raw.frames.push_back({.module = report.frames[i].module,
                              .return_address = report.frames[i].return_address != 0,
                              .offset = report.frames[i].offset});
    crash.stack = make_stack(std::move(raw));
    return crash;
}

}  // namespace mp::os
