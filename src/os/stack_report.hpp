// A stack as a signal handler writes it down, in memory shared with another process.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>

#include <multiprocessing/stack.hpp>

namespace mp::os {

struct ReportedModule {
    char path[224];  ///< terminated; the end of the path when it is too long
    std::uint8_t build_id[28];
    std::uint32_t build_id_size;
};
static_assert(sizeof(ReportedModule) == 256);

struct ReportedFrame {
    std::uint64_t offset;          ///< address minus load address
    std::uint32_t module;          ///< index, no_module for code in none
    std::uint32_t return_address;  ///< 0: the very instruction; 1: the call is before it
};
static_assert(sizeof(ReportedFrame) == 16);

/// Lives zeroed in shared memory. One thread writes it; readers trust the first `frame_count` frames, so that a writer
/// that dies on the way leaves a shorter but never a wrong stack.
struct StackReport {
    static constexpr std::uint32_t max_frames = 96, max_modules = 24, no_module = 0xffffffff;

    std::atomic<std::uint32_t> frame_count;  ///< counts frames whose module is complete; released by the writer
    std::uint32_t module_count;
    std::uint64_t reserved;
    ReportedModule modules[max_modules];
    ReportedFrame frames[max_frames];
};
static_assert(sizeof(StackReport) == 16 + 256 * 24 + 16 * 96);

/// Writes the calls that led to `context`, the argument of a signal handler, from within that handler.
/// Async-signal-safe once prepare_stack_reports() was called. The context is as it was when this returns.
void write_stack(StackReport& report, ucontext_t& context);

/// Whatever the unwinder loads or allocates at its first use, it does now.
void prepare_stack_reports();

/// Safe on memory that the writer scribbled over.
Stack read_stack(const StackReport& report);

}  // namespace mp::os
