/// \file
/// How a process ended, with everything that is known about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <multiprocessing/export.hpp>
#include <multiprocessing/stack.hpp>

namespace mp {

/// What a process wrote down in the moment of its death by SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS or SIGTRAP.
struct Crash {
    int signal = 0;                        ///< SIGSEGV, …
    int code = 0;                          ///< `si_code` of the signal
    std::optional<std::uint64_t> address;  ///< address of the fault; none for a signal that somebody sent
    bool stack_overflow = false;           ///< the fault was at the end of the thread's stack
    int tid = 0;                           ///< thread that died
    bool main_thread = true;               ///< the one that the process began with: in a pool's worker, the task's
    std::string thread_name{};              ///< its name
    Stack stack{};                         ///< where it was
};

/// How a process ended. A value; cheap to copy.
class ExitStatus {
  public:
    /// It ended by exit, _exit or returning from main.
    struct Exited {
        /// 0 to 255; 0 means success.
        int code = 0;
    };
    /// A signal ended it.
    struct Signalled {
        /// Its number.
        int signal = 0;
        /// Whether the kernel wrote a core file.
        bool core_dumped = false;
    };
    /// Nobody could tell: someone else collected the status.
    struct Lost {};
    using How = std::variant<Exited, Signalled, Lost>;

    /// What it used, its own waited-for children included.
    struct Usage {
        std::chrono::microseconds user{0};    ///< CPU time in user mode
        std::chrono::microseconds system{0};  ///< CPU time in the kernel
        std::uint64_t max_rss = 0;            ///< largest resident memory, in bytes
    };

    /// Lost.
    ExitStatus() : how_(Lost{}) {}
    /// Without usage.
    explicit ExitStatus(How how) : how_(how) {}
    /// With what it used.
    ExitStatus(How how, Usage usage) : how_(how), usage_(usage) {}

    /// Exited, Signalled or Lost.
    const How& how() const { return how_; }
    /// The exit code, when it exited.
    std::optional<int> code() const {
        if (const auto* exited = std::get_if<Exited>(&how_)) return exited->code;
        return std::nullopt;
    }
    /// The signal that ended it, when one did.
    std::optional<int> signal() const {
        if (const auto* signalled = std::get_if<Signalled>(&how_)) return signalled->signal;
        return std::nullopt;
    }
    /// Whether the kernel wrote a core file.
    bool core_dumped() const {
        const auto* signalled = std::get_if<Signalled>(&how_);
        return signalled && signalled->core_dumped;
    }
    /// Whether nobody could tell.
    bool lost() const { return std::holds_alternative<Lost>(how_); }
    /// Exited with code 0.
    bool success() const { return code() == 0; }

    /// Python's number: the exit code, or minus the signal; 255 when lost.
    MP_EXPORT int exitcode() const;

    /// CPU time in user mode, waited-for children included.
    std::chrono::microseconds user_time() const { return usage_.user; }
    /// CPU time in the kernel, waited-for children included.
    std::chrono::microseconds system_time() const { return usage_.system; }
    /// Largest resident memory, in bytes.
    std::uint64_t max_rss() const { return usage_.max_rss; }

    /// What it wrote down when it crashed; null when it did not, or could not. Lives as long as any copy of this.
    const Crash* crash() const { return crash_.get(); }
    /// For who collects the status: adds the crash report.
    void set_crash(Crash crash) { crash_ = std::make_shared<const Crash>(std::move(crash)); }

    /// It ended because memory ran out: a fact, taken from the kernel's counters or a refusal that the process met.
    bool killed_for_memory() const { return memory_evidence_ != nullptr; }
    /// `evidence` says what shows it: `oom_kill in /sys/fs/cgroup/memory.events went from 0 to 1`.
    void set_killed_for_memory(std::string evidence) {
        memory_evidence_ = std::make_shared<const std::string>(std::move(evidence));
    }
    /// That evidence; empty unless killed_for_memory().
    MP_EXPORT std::string memory_evidence() const;

    /// `exited with code 3`, `killed by SIGSEGV at 0x0 in parse (parse.cpp:41)`, `killed by SIGTERM`,
    /// `killed by SIGKILL (out of memory: …)`, `ended, but how is not known`. Reads debug information when it crashed.
    MP_EXPORT std::string to_string() const;

  private:
    How how_;
    Usage usage_;
    std::shared_ptr<const Crash> crash_;
    std::shared_ptr<const std::string> memory_evidence_;
};

/// Writes to_string().
MP_EXPORT std::ostream& operator<<(std::ostream& out, const ExitStatus& status);

}  // namespace mp
