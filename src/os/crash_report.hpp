// What a process writes down, in memory shared with a survivor, while a fatal signal kills it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <multiprocessing/exit_status.hpp>

#include "base/expected.hpp"

namespace mp::os {

struct CrashModule {
    char path[224];               ///< terminated; the end of the path when it is too long
    std::uint8_t build_id[28];
    std::uint32_t build_id_size;
};
static_assert(sizeof(CrashModule) == 256);

struct CrashFrame {
    std::uint64_t offset;          ///< address minus load address
    std::uint32_t module;          ///< index, no_module for code in none
    std::uint32_t return_address;  ///< 0: the very instruction; 1: the call is before it
};
static_assert(sizeof(CrashFrame) == 16);

/// Lives zeroed in shared memory. One process writes it, once: the thread whose signal came first. Readers trust the
/// facts from state `facts` on, and the first `frame_count` frames; a writer that dies on the way leaves a shorter but
/// never a wrong report.
struct CrashReport {
    static constexpr std::uint32_t empty = 0, claimed = 1, facts = 2, complete = 3;
    static constexpr std::uint32_t max_frames = 96, max_modules = 24, no_module = 0xffffffff;

    std::atomic<std::uint32_t> state;         ///< released by the dying thread, acquired by read_crash_report
    std::atomic<std::uint32_t> frame_count;   ///< as above; counts frames whose module is complete
    std::uint32_t module_count;
    std::int32_t signal;
    std::int32_t code;                        ///< si_code
    std::int32_t tid;
    std::uint64_t address;
    std::uint32_t has_address;
    std::uint32_t stack_overflow;
    char thread_name[16];
    std::uint64_t reserved;
    CrashModule modules[max_modules];
    CrashFrame frames[max_frames];
};
static_assert(sizeof(CrashReport) == 64 + 256 * 24 + 16 * 96);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

/// Handles SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS and SIGTRAP in this process from now on: on an alternate
/// stack writes `report`, adds 1 to the eventfd `notify_fd` (when >= 0), restores the default action and lets the fault
/// recur, so that exit status and core dump are what they would have been. Arms the calling thread. `report` must stay
/// mapped for the rest of the process. To call again (after a fork) replaces report and descriptor. A handler that the
/// program installs later wins. Under a sanitizer its own handler runs after ours, so its report is printed too.
base::Expected<void> install_crash_handler(CrashReport* report, int notify_fd);

/// Gives the calling thread an alternate stack, so that an overflow of its stack can be reported. Every thread that
/// runs foreign code calls it once; the stack goes when the thread ends.
base::Expected<void> arm_this_thread();

/// The report, when one was begun. Safe on memory that the process scribbled over.
std::optional<Crash> read_crash_report(const CrashReport& report);

}  // namespace mp::os
