// The page of shared memory in which a process tells its owner what cannot be told otherwise.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/crash_report.hpp"
#include "os/stack_sample.hpp"

namespace mp::process {

/// Lives zeroed in a memory file that owner and process map.
struct ReportPage {
    static constexpr std::uint32_t max_error = 48 * 1024;

    os::CrashReport crash;                     // written by the dying process
    os::StackSample sample;                    // written by the process when its owner asks
    std::atomic<std::uint32_t> stop;           // set by the owner, read by the process's stop token; a futex word
    std::atomic<std::uint32_t> error_size;     // released by the process after `error`; acquired by the owner
    std::atomic<std::uint32_t> called_exit;    // set by the process when its entry did not return but called exit()
    std::uint32_t reserved;
    std::byte error[max_error];                // an encoded ExceptionRecord that ended the entry
};
static_assert(sizeof(ReportPage) == sizeof(os::CrashReport) + sizeof(os::StackSample) + 16 + ReportPage::max_error);

}  // namespace mp::process
