#include "os/exit_status.hpp"

#include <sys/wait.h>

#include <cstdio>
#include <ostream>

#include "os/signal_name.hpp"

namespace mp {

int ExitStatus::exitcode() const {
    if (const auto exit_code = code()) return *exit_code;
    if (const auto number = signal()) return -*number;
    return 255;
}

std::string ExitStatus::memory_evidence() const { return memory_evidence_ ? *memory_evidence_ : std::string(); }

std::string ExitStatus::to_string() const {
    if (const auto exit_code = code()) return "exited with code " + std::to_string(*exit_code);
    const auto number = signal();
    if (!number) return "ended, but how is not known";
    std::string text = "killed by " + os::signal_name(*number);
    if (memory_evidence_) return text + " (out of memory: " + *memory_evidence_ + ')';
    if (!crash_) return text;
    if (crash_->stack_overflow) text += " (stack overflow)";
    if (crash_->address) {
        char address[32];
        std::snprintf(address, sizeof address, " at 0x%llx", static_cast<unsigned long long>(*crash_->address));
        text += address;
    }
    if (!crash_->main_thread) text += " in thread \"" + crash_->thread_name + '"';
    if (const StackFrame* frame = crash_->stack.top()) text += " in " + frame->to_string();
    return text;
}

std::ostream& operator<<(std::ostream& out, const ExitStatus& status) { return out << status.to_string(); }

}  // namespace mp

namespace mp::os {
namespace {

std::chrono::microseconds duration_of(const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

ExitStatus make(ExitStatus::How how, const rusage& usage, const CrashReport* report) {
    ExitStatus status(how, {.user = duration_of(usage.ru_utime),
                            .system = duration_of(usage.ru_stime),
                            .max_rss = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024});
    if (report && status.signal()) {
        // A report whose signal did not kill belongs to a fault that the program survived.
        if (auto crash = read_crash_report(*report); crash && crash->signal == *status.signal())
            status.set_crash(*std::move(crash));
    }
    return status;
}

}  // namespace

ExitStatus make_exit_status(int code, int status, const rusage& usage, const CrashReport* report) {
    switch (code) {
        case CLD_EXITED: return make(ExitStatus::Exited{status}, usage, report);
        case CLD_KILLED: return make(ExitStatus::Signalled{status, false}, usage, report);
        case CLD_DUMPED: return make(ExitStatus::Signalled{status, true}, usage, report);
        default: return make(ExitStatus::Lost{}, usage, nullptr);
    }
}

ExitStatus make_exit_status(int wait_status, const rusage& usage, const CrashReport* report) {
    if (WIFEXITED(wait_status)) return make(ExitStatus::Exited{WEXITSTATUS(wait_status)}, usage, report);
    if (WIFSIGNALED(wait_status))
        return make(ExitStatus::Signalled{WTERMSIG(wait_status), WCOREDUMP(wait_status) != 0}, usage, report);
    return make(ExitStatus::Lost{}, usage, nullptr);
}

}  // namespace mp::os
