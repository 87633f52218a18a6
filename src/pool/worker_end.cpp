#include "pool/worker_end.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>

#include "os/memory_limit.hpp"
#include "process/boot.hpp"

namespace mp::pool {

namespace {

[[noreturn]] void leave() {
    std::cout.flush();
    std::clog.flush();
    std::fflush(nullptr);
    // Not exit(): handlers and static objects count on a program that has its memory, and its main thread.
    std::_Exit(1);
}

}  // namespace

MemoryLimiter limit_memory(std::uint64_t limit, std::optional<serial::Handle> group) {
    if (group && ::write(group->fd(), "0", 1) == 1) return MemoryLimiter::control_group;
    if (os::limit_own_data(limit, &process::self()->report->memory_refused)) return MemoryLimiter::data_limit;
    return MemoryLimiter::none;
}

void end_when_lost() {
    auto& report = *process::self()->report;
    const std::exception_ptr error = std::current_exception();
    if (!error) {
        // Foreign: the C library's forced unwinding.
        report.called_exit.store(static_cast<std::uint32_t>(process::ExitCall::pthread_exit),
                                 std::memory_order_relaxed);
        leave();
    }
    if (report.memory_refused.load(std::memory_order_relaxed) == process::ReportPage::not_refused) return;
    try {
        std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
        report.memory_refused.store(process::ReportPage::left_for_it, std::memory_order_relaxed);
        leave();
    } catch (...) {
    }
}

}  // namespace mp::pool
