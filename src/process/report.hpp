// The page of shared memory in which a process tells its owner what cannot be told otherwise.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/crash_report.hpp"
#include "os/stack_sample.hpp"

namespace mp::process {

/// How an entry that did not return ended its process. `unknown`: by _exit, or not at all.
enum class ExitCall : std::uint32_t { unknown, exit, quick_exit, pthread_exit };

/// Lives zeroed in a memory file that owner and process map.
struct ReportPage {
    static constexpr std::uint32_t max_error = 48 * 1024;
    static constexpr std::uint32_t not_begun = 0, must_not_begin = ~std::uint32_t(0);
    static constexpr std::uint32_t exits = 0x100;
    static constexpr std::uint32_t not_refused = 0, refused = 1, left_for_it = 2;

    std::atomic<std::uint32_t> stop;           // set by the owner, read by the process's stop token; a futex word
    std::atomic<std::uint32_t> error_size;     // released by the process after `error`; acquired by the owner
    std::atomic<std::uint32_t> called_exit;    // an ExitCall: set by the process when its entry did not return
    std::atomic<std::uint32_t> exit_code;      // exits | code: stored by a process that ends by exit, for an owner whose
                                               // server is gone
    std::atomic<std::uint32_t> memory_refused; // refused: the process met its own limit of memory; left_for_it: and ended
    std::atomic<std::uint32_t> begun;          // whoever comes first: the process, before it does anything, stores its pid;
                                               // the owner, which has lost it, stores must_not_begin; a futex word
    os::CrashReport crash;                     // written by the dying process
    os::StackSample sample;                    // written by the process when its owner asks
    std::byte error[max_error];                // an encoded ExceptionRecord that ended the entry
};
static_assert(sizeof(ReportPage) == sizeof(os::CrashReport) + sizeof(os::StackSample) + 24 + ReportPage::max_error);

}  // namespace mp::process
