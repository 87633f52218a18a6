#include "process/child.hpp"

#include <unistd.h>

#include "os/exit_status.hpp"
#include "os/futex.hpp"
#include "os/log.hpp"
#include "os/pidfd.hpp"
#include "os/retry.hpp"
#include "os/socket.hpp"

namespace mp::process {

Child::Child(Parts parts)
    : pid_(parts.pid),
      pidfd_(std::move(parts.pidfd)),
      status_(std::move(parts.status)),
      lifeline_(std::move(parts.lifeline)),
      report_(std::move(parts.report)),
      server_(std::move(parts.server)) {}

int Child::sentinel() {
    std::lock_guard lock(mutex_);
    return status_lost_ && pidfd_ ? pidfd_.get() : status_.get();
}

bool Child::wait(base::Deadline deadline) {
    while (true) {
        int watched = status_.get();
        {
            std::lock_guard lock(mutex_);
            if (collect()) return true;
            // After the server's death the pipe is at its end while the process may go on.
            if (status_lost_) watched = pidfd_.get();
        }
        const auto ready = os::wait_readable(watched, deadline);
        if (!ready || !*ready) {
            std::lock_guard lock(mutex_);
            return collect();
        }
    }
}

std::optional<ExitStatus> Child::status() {
    std::lock_guard lock(mutex_);
    collect();
    return ended_;
}

// Looks whether the status has arrived; the caller holds mutex_.
bool Child::collect() {
    if (ended_) return true;
    const auto now = base::Deadline::now();
    if (!status_lost_) {
        const auto ready = os::wait_readable(status_.get(), now);
        if (!ready || !*ready) return false;
        wire::Status status;
        const ssize_t size = os::retry([&] { return ::read(status_.get(), &status, sizeof status); });
        if (size == static_cast<ssize_t>(sizeof status)) {
            rusage usage{};
            usage.ru_utime = {status.user_us / 1'000'000, status.user_us % 1'000'000};
            usage.ru_stime = {status.system_us / 1'000'000, status.system_us % 1'000'000};
            usage.ru_maxrss = status.max_rss / 1024;
            ended_ = os::make_exit_status(status.code, status.status, usage, &report().crash);
            if (os::logs(LogLevel::info))
                os::LogLine(LogLevel::info, "process.ended").add("child", pid_).add("how", ended_->to_string());
            return true;
        }
        status_lost_ = true;
    }
    if (pidfd_) {
        const auto ready = os::wait_readable(pidfd_.get(), now);
        if (ready && !*ready) return false;
    }
    // Nobody else knows how it ended.
    if (auto crash = os::read_crash_report(report().crash)) {
        ended_.emplace().set_crash(std::move(*crash));
    } else if (const auto exit_code = report().exit_code.load(std::memory_order_acquire);
               exit_code & ReportPage::exits) {
        ended_ = os::make_exit_status(CLD_EXITED, static_cast<std::uint8_t>(exit_code), rusage{});
    } else {
        ended_.emplace();
    }
    return true;
}

std::optional<ExitStatus> Child::crashing() const {
    const os::CrashReport& crash = report().crash;
    if (crash.state.load(std::memory_order_acquire) != os::CrashReport::complete || !crash.main_thread ||
        !crash.core_expected)
        return std::nullopt;
    auto read = os::read_crash_report(crash);
    if (!read) return std::nullopt;
    ExitStatus status(ExitStatus::Signalled{read->signal, false});
    status.set_crash(*std::move(read));
    return status;
}

void Child::signal(int signal) {
    {
        std::lock_guard lock(mutex_);
        if (collect()) return;
    }
    // Without a pidfd the server signals: it knows whether the number still means its child.
    if (pidfd_)
        static_cast<void>(os::signal_pidfd(pidfd_.get(), signal));
    else
        static_cast<void>(server_->signal(pid_, signal));
}

std::optional<Stack> Child::sample_stack(base::Deadline deadline) {
    const std::lock_guard sampling(sampling_);
    auto& sample = const_cast<os::StackSample&>(report().sample);
    const std::uint32_t asked = sample.request.load(std::memory_order_relaxed) + 1;
    sample.request.store(asked, std::memory_order_release);
    signal(os::stack_sample_signal);
    while (true) {
        const std::uint32_t answer = sample.answer.load(std::memory_order_acquire);
        if (answer == asked) return os::read_stack(sample.stack);
        // In slices, to see when it dies.
        const auto slice = earlier(deadline, base::Deadline::after(std::chrono::milliseconds(20)));
        if (!os::futex_wait(sample.answer, answer, slice) && (deadline.expired() || status())) return std::nullopt;
    }
}

void Child::request_stop() {
    auto& stop = const_cast<std::atomic<std::uint32_t>&>(report().stop);
    stop.store(1, std::memory_order_release);
    os::futex_wake_all(stop);
}

void Child::withdraw_stop() {
    const_cast<std::atomic<std::uint32_t>&>(report().stop).store(0, std::memory_order_release);
}

}  // namespace mp::process
