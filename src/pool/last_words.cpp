#include "pool/last_words.hpp"

namespace mp::pool {

LastWords last_words(const process::ReportPage& report, std::optional<std::uint64_t> memory_limit, ExitStatus& status) {
    LastWords words;
    if (!status.code()) return words;
    if (memory_limit && report.memory_refused.load(std::memory_order_relaxed) == process::ReportPage::left_for_it) {
        words.memory_limit = memory_limit;
        status.set_killed_for_memory("operator new was refused by RLIMIT_DATA");
        return words;
    }
    switch (static_cast<process::ExitCall>(report.called_exit.load(std::memory_order_relaxed))) {
        case process::ExitCall::exit:
            words.exit_call = "exit";
            break;
        case process::ExitCall::quick_exit:
            words.exit_call = "quick_exit";
            break;
        case process::ExitCall::pthread_exit:
            words.exit_call = "pthread_exit";
            break;
        case process::ExitCall::unknown:
            words.exit_call = "_exit";
            break;
    }
    return words;
}

std::exception_ptr worker_lost(const TaskInfo& task, pid_t pid, const ExitStatus& status, const LastWords& words) {
    const WorkerLost::Details details{.task = task,
                                      .pid = pid,
                                      .status = status,
                                      .called_exit = status.code().has_value() && !words.memory_limit,
                                      .exit_call = words.exit_call,
                                      .stderr_tail = words.stderr_tail,
                                      .ending = words.ending,
                                      .memory_limit = words.memory_limit};
    if (words.memory_limit) return std::make_exception_ptr(MemoryLimitExceeded(details));
    return std::make_exception_ptr(WorkerLost(details));
}

}  // namespace mp::pool
