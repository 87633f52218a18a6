// What a process writes down, in memory shared with a survivor, while a fatal signal kills it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <multiprocessing/exit_status.hpp>

#include "base/expected.hpp"
#include "os/stack_report.hpp"

namespace mp::os {

/// Lives zeroed in shared memory. One process writes it, once: the thread whose signal came first. Readers trust the
/// facts from state `facts` on, and of the stack what StackReport says.
struct CrashReport {
    static constexpr std::uint32_t empty = 0, claimed = 1, facts = 2, complete = 3;

    std::atomic<std::uint32_t> state;         ///< released by the dying thread, acquired by read_crash_report
    std::int32_t signal;
    std::int32_t code;                        ///< si_code
    std::int32_t tid;
    std::uint64_t address;
    std::uint32_t has_address;
    std::uint32_t stack_overflow;
    char thread_name[16];
    std::uint32_t main_thread;                ///< 1: the thread that the process began with
    std::uint32_t core_expected;              ///< 1: the process may write a core, so that its end takes a while
    std::uint64_t reserved;
    StackReport stack;
};
static_assert(sizeof(CrashReport) == 64 + sizeof(StackReport));
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

/// Handles SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS and SIGTRAP in this process from now on: on an alternate
/// stack writes `report`, restores the default action and lets the fault recur, so that exit status and core dump are what they would have been. Arms the calling thread. `report` must stay
/// mapped for the rest of the process. A fork of this process leaves the report
/// alone, unless it calls again, which replaces it. A handler that the
/// program installs later wins. Under a sanitizer its own handler runs after ours, so its report is printed too.
base::Expected<void> install_crash_handler(CrashReport* report);

/// The eventfd to which a crash adds 1 once its report is complete, before the process dies: with a core to write that
/// takes seconds. -1: none, as it is at first. Must stay open for the rest of the process.
void notify_of_crashes(int fd);

/// Gives the calling thread an alternate stack, so that an overflow of its stack can be reported. Every thread that
/// runs foreign code calls it once; the stack goes when the thread ends.
base::Expected<void> arm_this_thread();

/// The report, when one was begun. Safe on memory that the process scribbled over.
std::optional<Crash> read_crash_report(const CrashReport& report);

}  // namespace mp::os
