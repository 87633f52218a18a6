/// \file
/// What the library throws. Everything derives from mp::Error; what a task itself threw arrives as RemoteError
/// (remote_error.hpp). What a call can be expected to find (time is up, empty, not done) is a return value instead.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <multiprocessing/exit_status.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/stack.hpp>

namespace mp {

/// Base of everything the library throws on its own account. Like all errors here, cheap to copy.
class MP_EXPORT Error : public std::runtime_error {
  public:
    /// `text`: what what() says.
    explicit Error(const std::string& text);
    Error(const Error&) = default;
    Error& operator=(const Error&) = default;
    ~Error() override;
};

/// Writes what(), and for an error that knows them, the stack and the last lines of the worker's standard error indented
/// below it; no newline at the end.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Error& error);

/// The system refused: `cannot map 64 MiB for queue "frames": Cannot allocate memory`.
class MP_EXPORT SystemError : public Error {
  public:
    /// `operation` names what was tried, and on what: `cannot map 64 MiB for queue "frames"`.
    SystemError(std::error_code code, const std::string& operation);
    SystemError(const SystemError&) = default;
    SystemError& operator=(const SystemError&) = default;
    ~SystemError() override;
    /// The reason, usually in std::system_category().
    std::error_code code() const noexcept { return code_; }

  private:
    std::error_code code_;
};

/// Bytes that are no value of the type asked for, or a value that cannot be turned into bytes.
class MP_EXPORT SerializationError : public Error {
  public:
    using Error::Error;
    SerializationError(const SerializationError&) = default;
    SerializationError& operator=(const SerializationError&) = default;
    ~SerializationError() override;
};

/// The other side is gone, or the object was closed, and nothing is left to read.
class MP_EXPORT Closed : public Error {
  public:
    using Error::Error;
    Closed(const Closed&) = default;
    Closed& operator=(const Closed&) = default;
    ~Closed() override;
};

/// A connection whose two sides do not have the same authentication key, or of which one has none.
class MP_EXPORT AuthenticationError : public Error {
  public:
    using Error::Error;
    AuthenticationError(const AuthenticationError&) = default;
    AuthenticationError& operator=(const AuthenticationError&) = default;
    ~AuthenticationError() override;
};

/// A pool that cannot go on: its workers cannot be started, or keep dying before they work.
class MP_EXPORT PoolBroken : public Error {
  public:
    using Error::Error;
    PoolBroken(const PoolBroken&) = default;
    PoolBroken& operator=(const PoolBroken&) = default;
    ~PoolBroken() override;
};

/// Start method `fork` was asked for while the caller has other threads: a lock that one of them holds would stay
/// locked in the child for ever.
class MP_EXPORT UnsafeFork : public Error {
  public:
    /// `threads`: names of the other threads.
    explicit UnsafeFork(std::vector<std::string> threads);
    /// With a text of its own, and no names.
    explicit UnsafeFork(const std::string& text);
    UnsafeFork(const UnsafeFork&) = default;
    UnsafeFork& operator=(const UnsafeFork&) = default;
    ~UnsafeFork() override;
    /// Names of the threads that stand in the way; empty when they are not known.
    const std::vector<std::string>& threads() const noexcept { return *threads_; }

  private:
    std::shared_ptr<const std::vector<std::string>> threads_;
};

/// Which task an error is about.
struct TaskInfo {
    std::string function{};              ///< name of what was called; empty when unknown
    std::optional<std::uint64_t> index{};  ///< position in the input of the call; none for what is not a task
    std::string label{};                 ///< the task's label; empty without one
    int attempt = 1;                     ///< 1 for the first try

    /// `parse(#7 "c.pdf", attempt 1)`; without an index `parse`.
    MP_EXPORT std::string to_string() const;
};

/// The process that worked on a task died. The pool goes on; this task is lost.
class MP_EXPORT WorkerLost : public Error {
  public:
    /// All that is known of the death.
    struct Details {
        TaskInfo task{};
        pid_t pid = 0;
        ExitStatus status{};       ///< how it died, with crash report and memory evidence
        bool called_exit = false;  ///< the task's own code called exit, _exit, quick_exit or pthread_exit
        std::string exit_call{};   ///< which of them, `exit`; empty when that is not known
        std::vector<std::string> stderr_tail{};  ///< the last lines of its standard error, without newlines
        bool ending = false;       ///< its core is still being written: usage and core_dumped are not known yet
        std::optional<std::uint64_t> memory_limit{};  ///< that it passed, in bytes
    };

    explicit WorkerLost(Details details);
    WorkerLost(const WorkerLost&) = default;
    WorkerLost& operator=(const WorkerLost&) = default;
    ~WorkerLost() override;

    /// `parse(#7 "c.pdf", attempt 1): worker 8123 killed by SIGSEGV at 0x10 in read_table (table.cpp:88)`. Reads debug
    /// information at the first call.
    const char* what() const noexcept override;

    /// All that is known of the death.
    const Details& details() const noexcept;
    /// Of the worker that died.
    pid_t pid() const noexcept { return details().pid; }
    /// How it died.
    const ExitStatus& status() const noexcept { return details().status; }
    /// The signal that killed it; none when it exited.
    std::optional<int> signal() const noexcept { return status().signal(); }
    /// Address of the fault.
    std::optional<std::uint64_t> address() const noexcept {
        return status().crash() ? status().crash()->address : std::nullopt;
    }
    /// Where it was when it crashed; empty when it did not crash or could not say.
    Stack stack() const { return status().crash() ? status().crash()->stack : Stack(); }
    /// The kernel killed it because memory ran out: a fact, not a guess.
    bool killed_for_memory() const noexcept { return status().killed_for_memory(); }
    /// The task itself ended the process.
    bool called_exit() const noexcept { return details().called_exit; }
    /// The last lines that the worker printed to standard error, from whatever task; at most 20. Empty with
    /// Output::inherit.
    const std::vector<std::string>& stderr_tail() const noexcept { return details().stderr_tail; }
    /// Position of the task in the input of its call; none for a submitted one.
    std::optional<std::uint64_t> task_index() const noexcept { return details().task.index; }
    /// The label of the task's call; empty without one.
    const std::string& label() const noexcept { return details().task.label; }
    /// 1 for the first try.
    int attempt() const noexcept { return details().task.attempt; }
    /// The name of what was called; empty when unknown.
    const std::string& function() const noexcept { return details().task.function; }

  private:
    struct State;
    std::shared_ptr<State> state_;
};

/// A task passed its pool's `memory_limit`, and its worker ended for it: a fact, told by the kernel's counters or by the
/// refusal that the worker met.
class MP_EXPORT MemoryLimitExceeded : public WorkerLost {
  public:
    using WorkerLost::WorkerLost;
    MemoryLimitExceeded(const MemoryLimitExceeded&) = default;
    MemoryLimitExceeded& operator=(const MemoryLimitExceeded&) = default;
    ~MemoryLimitExceeded() override;
    /// In bytes.
    std::uint64_t limit() const noexcept { return details().memory_limit.value_or(0); }
};

/// A task ran longer than its `task_timeout` (it was stopped; the pool goes on), or a call than its `timeout`.
class MP_EXPORT TaskTimeout : public Error {
  public:
    /// `pid` 0: it was not running. `stack`: where it was.
    TaskTimeout(TaskInfo task, std::chrono::nanoseconds limit, pid_t pid = 0, Stack stack = {});
    /// With a text of its own, and no task.
    explicit TaskTimeout(const std::string& text);
    TaskTimeout(const TaskTimeout&) = default;
    TaskTimeout& operator=(const TaskTimeout&) = default;
    ~TaskTimeout() override;
    /// Which task it was.
    const TaskInfo& task() const noexcept { return *task_; }
    /// The limit that was passed.
    std::chrono::nanoseconds limit() const noexcept { return limit_; }
    /// The worker that ran it; 0 when none did.
    pid_t pid() const noexcept { return pid_; }
    /// Where the task was when its time was over; empty when it was not running or could not say.
    const Stack& stack() const noexcept { return stack_; }

  private:
    std::shared_ptr<const TaskInfo> task_;
    std::chrono::nanoseconds limit_{0};
    pid_t pid_ = 0;
    Stack stack_;
};

/// A task that was cancelled before it had a result.
class MP_EXPORT TaskCancelled : public Error {
  public:
    /// `reason`: why, as the end of a sentence (`the pool was terminated`); may be empty.
    explicit TaskCancelled(TaskInfo task, const std::string& reason = {});
    /// With a text of its own, and no task.
    explicit TaskCancelled(const std::string& text);
    TaskCancelled(const TaskCancelled&) = default;
    TaskCancelled& operator=(const TaskCancelled&) = default;
    ~TaskCancelled() override;
    /// Which task it was.
    const TaskInfo& task() const noexcept { return *task_; }

  private:
    std::shared_ptr<const TaskInfo> task_;
};

/// What a task threw when that is no type that can be made again here: not a standard exception, not a registered
/// one (register_exception.hpp). Arrives as `remote<TaskError>`, so RemoteError tells the type's name.
class MP_EXPORT TaskError : public Error {
  public:
    using Error::Error;
    TaskError(const TaskError&) = default;
    TaskError& operator=(const TaskError&) = default;
    ~TaskError() override;
};

}  // namespace mp
