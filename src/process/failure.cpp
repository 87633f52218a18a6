#include "process/failure.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>

#include <multiprocessing/outcome.hpp>

#include "os/crash_report.hpp"
#include "os/stack_report.hpp"
#include "os/thread_start.hpp"
#include "os/throw_stack.hpp"
#include "serial/exception_record.hpp"

namespace mp::process {

void prepare_failure_reports() {
    static_cast<void>(os::arm_this_thread());
    os::prepare_stack_reports();
    os::arm_all_threads();
    os::enable_throw_stacks();
}

void report_failures(const Self& self) {
    // Without a handler a crash is told by its signal alone, which is no reason not to run.
    static_cast<void>(os::install_crash_handler(&self.report->crash));
    static_cast<void>(os::install_stack_sampler(&self.report->sample));
}

void report_failure(const std::exception_ptr& failure, const Self& self) {
    const auto record = serial::capture_exception(failure);
    // What the process has printed comes before the reason why it stopped.
    std::cout.flush();
    std::fflush(stdout);
    const std::string text = "Process " + self.name + " (pid " + std::to_string(::getpid()) + ") failed: " +
                             Failure(serial::to_exception(record, {.function = self.name})).to_string() + '\n';
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);

    auto bytes = serial::encode_exception(record);
    if (bytes.size() > ReportPage::max_error) {
        // Longer than any reader wants: the outermost exception without its stack.
        auto brief = record;
        brief.levels.resize(1);
        brief.levels.front().stack = {};
        brief.levels.front().value.clear();
        brief.levels.front().message.resize(std::min<std::size_t>(brief.levels.front().message.size(), 4096));
        bytes = serial::encode_exception(brief);
        if (bytes.size() > ReportPage::max_error) return;
    }
    std::memcpy(self.report->error, bytes.data(), bytes.size());
    self.report->error_size.store(static_cast<std::uint32_t>(bytes.size()), std::memory_order_release);
}

std::exception_ptr read_failure(const ReportPage& page, const std::string& name) {
    const std::uint32_t size = page.error_size.load(std::memory_order_acquire);
    if (size == 0 || size > ReportPage::max_error) return nullptr;
    try {
        return serial::to_exception(serial::decode_exception({page.error, size}), {.function = name});
    } catch (...) {
        return std::current_exception();
    }
}

}  // namespace mp::process
