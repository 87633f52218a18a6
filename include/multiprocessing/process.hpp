/// \file
/// A process of one's own: a function, a closure or a class with run() that works beside its caller.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/context.hpp>
#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/exit_status.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/function.hpp>
#include <multiprocessing/outcome.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

/// How a process is set up; what is left out has the default that is named here.
struct ProcessOptions {
    /// Shown by `ps`, in messages and by name(); `Process-1`, `Process-2`, … when empty.
    std::string name{};
    /// True: the destructor terminates the process instead of joining it. As the creating process when left out.
    std::optional<bool> daemon{};
    /// get_start_method() when left out; and fork, whatever that says, for a target that exists only in the caller's
    /// memory.
    std::optional<StartMethod> start_method{};
};

namespace detail {

struct ProcessState;

/// The kind of entry record that a new process runs: reads its target and arguments, returns the exit code.
struct ProcessEntry {
    using Signature = int(serial::Reader& arguments);
    static constexpr std::string_view name = "process";
};

/// The sentence for a target that cannot be called with what was given.
template <class F, class... Args>
constexpr void check_target() {
    constexpr bool callable = std::is_invocable_v<F, Args...>;
    constexpr bool changes_argument = !callable && std::is_invocable_v<F, Args&...>;
    static_assert(!changes_argument,
                  "multiprocessing: the target of a Process takes an argument by reference, but has a copy in another "
                  "process; take it by value or by const reference, and hand results over by an mp::Queue, mp::Value or "
                  "mp::Array");
    static_assert(callable || changes_argument,
                  "multiprocessing: the target of a Process cannot be called with these arguments (they are passed by "
                  "value); it is mp::Process(function, arguments...), or mp::Process({.name = \"...\"}, function, "
                  "arguments...)");
}

/// What a process calls, without its type.
class Target {
  public:
    virtual ~Target() = default;
    virtual void call() = 0;
    /// Null when target or arguments have no meaning outside the caller's memory.
    virtual const EntryRecord* entry() const = 0;
    virtual void encode(serial::Writer& writer) const = 0;
};

template <class F, class... Args>
class TargetOf final : public Target {
    static constexpr bool portable = portable_callable<F> && (serial::serializable<Args> && ...);

  public:
    template <class G, class... Given>
    explicit TargetOf(G&& function, Given&&... arguments)
        : function_(std::forward<G>(function)), arguments_(std::forward<Given>(arguments)...) {}

    void call() override { std::apply(function_, std::move(arguments_)); }

    const EntryRecord* entry() const override {
        if constexpr (portable) return &entry_record<ProcessEntry, &run, F, Args...>;
        else return nullptr;
    }

    void encode(serial::Writer& writer) const override {
        if constexpr (portable) {
            encode_callable(writer, function_);
            serial::encode(writer, arguments_);
        }
    }

  private:
    static int run(serial::Reader& reader) {
        F function = decode_callable<F>(reader);
        auto arguments = serial::decode<std::tuple<Args...>>(reader);
        reader.finish();
        std::apply(std::move(function), std::move(arguments));
        return 0;
    }

    F function_;
    std::tuple<Args...> arguments_;
};

/// Text literals become strings, which can travel, unless the target wants the pointer.
template <class F, class... Args>
std::unique_ptr<Target> make_target(F&& function, Args&&... arguments) {
    using Function = std::decay_t<F>;
    if constexpr (std::is_invocable_v<Function, task_argument<Args>...>) {
        return std::make_unique<TargetOf<Function, task_argument<Args>...>>(std::forward<F>(function),
                                                                            std::forward<Args>(arguments)...);
    } else {
        check_target<Function, std::decay_t<Args>...>();
        if constexpr (std::is_invocable_v<Function, std::decay_t<Args>...>)
            return std::make_unique<TargetOf<Function, std::decay_t<Args>...>>(std::forward<F>(function),
                                                                               std::forward<Args>(arguments)...);
        else
            return nullptr;
    }
}

}  // namespace detail

class ProcessHandle;

/// `<Process name='upper half' pid=812 parent=790 started>`, as Python writes it.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const ProcessHandle& process);

/// The processes that the calling one has started and that have not ended.
MP_EXPORT std::vector<ProcessHandle> active_children();

/// A process that was or will be started, as others may watch and stop it. Copies mean the same process; they may
/// outlive the Process. All members may be called by any thread of the process that made it. After close(), all of them
/// but `operator<<` throw Error.
class MP_EXPORT ProcessHandle {
  public:
    /// As given, or `Process-1`, `Process-2`, … in the order in which they were made.
    const std::string& name() const;
    /// As given: whether the destructor terminates it.
    bool daemon() const;
    /// Empty before start().
    std::optional<pid_t> pid() const;
    /// Started and not yet ended.
    bool is_alive() const;
    /// Empty until it has ended; then the exit code, or minus the number of the signal that ended it; 255 when the fork
    /// server that kept watch was killed and the process did not end by exit, so that nobody can tell.
    std::optional<int> exitcode() const;
    /// Empty until it has ended; then all that is known about how.
    std::optional<ExitStatus> exit_status() const;
    /// The exception that ended its target, to look at, print or rethrow; empty when none did, or not yet.
    std::optional<Failure> error() const;
    /// A descriptor that is readable once the process has ended, for poll, select or mp::wait. It belongs to this object;
    /// do not read from it. Throws Error before start().
    int sentinel() const;

    /// Waits for the end. A process that is waiting for its caller waits for ever. Throws Error before start().
    void join();
    /// Waits at most this long; zero or less looks only. True when it has ended.
    template <class Rep, class Period>
    bool join_for(std::chrono::duration<Rep, Period> limit) {
        return join_until_seconds(std::chrono::duration<double>(limit).count());
    }

    /// SIGTERM: the default ends it with exitcode() -15; cleaning up is up to its own handler. No effect after the end.
    void terminate();
    /// SIGKILL: nothing in it can clean up.
    void kill();
    /// SIGINT, as Ctrl-C.
    void interrupt();
    /// Makes its mp::stop_token() say so; what follows is up to its code.
    void request_stop();

    friend std::ostream& operator<<(std::ostream& out, const ProcessHandle& process);

  protected:
    explicit ProcessHandle(std::shared_ptr<detail::ProcessState> state);
    friend std::vector<ProcessHandle> active_children();

    std::shared_ptr<detail::ProcessState> state_;

  private:
    bool join_until_seconds(double seconds);
};

/// A process that runs `target(arguments...)`, or run() of a class of one's own.
///
/// The target may be a function, a lambda, a function object. When it and its arguments can travel - a function, a
/// lambda that captures plain values, serialisable arguments - it runs in a clean process (StartMethod::forkserver):
/// static initialisers have run, `main` has not. Anything else - references, pointers, a class with run() - runs in a
/// fork of the caller, which sees a copy-on-write snapshot of the caller's memory at start(); that is refused with
/// UnsafeFork while the caller has other threads. What the child changes in memory stays in the child: use a Queue, a
/// Pipe, a Value or an Array to hand it over.
///
/// The child's standard output and error are those of the caller; its standard input is empty. A target that throws ends
/// with exit code 1, its message and stack on standard error; error() gives the same to the caller. std::exit() in the
/// child ends it with that code and runs the handlers registered there. The child ends with the caller, however that
/// ends, and with it everything that the child has started.
class MP_EXPORT Process : public ProcessHandle {
  public:
    /// Without a target: run() does nothing unless a derived class says otherwise.
    Process();
    /// Without a target, with options.
    explicit Process(ProcessOptions options);

    /// `mp::Process(count, 1, 40000)`. Target and arguments are copied or moved in now and passed on as values, text
    /// literals as std::string.
    template <class F, class... Args>
        requires(!std::is_base_of_v<ProcessHandle, std::remove_cvref_t<F>> &&
                 !std::is_same_v<std::remove_cvref_t<F>, ProcessOptions>)
    explicit Process(F&& target, Args&&... arguments)
        : Process(ProcessOptions{}, std::forward<F>(target), std::forward<Args>(arguments)...) {}

    /// `mp::Process({.name = "upper half"}, count, 40001, 80000)`
    template <class F, class... Args>
    Process(ProcessOptions options, F&& target, Args&&... arguments)
        : Process(std::move(options), detail::make_target(std::forward<F>(target), std::forward<Args>(arguments)...)) {}

    /// The process stays what it is; the object moved from has none and may only be destroyed or assigned.
    Process(Process&& other) noexcept;
    /// First gives up the own process as the destructor does.
    Process& operator=(Process&& other) noexcept;

    /// Asks a process that still runs to stop (its mp::stop_token()) and waits for its end, however long that takes; a
    /// daemon is terminated instead: SIGTERM, and SIGKILL five seconds later.
    virtual ~Process();

    /// What the child does. Calls the target.
    virtual void run();

    /// Starts the process; run() is called there. Once only. Throws SystemError when the system refuses, UnsafeFork, Error.
    void start();

    /// Frees what the process occupies here. Throws Error while it runs; may be called again.
    void close();

  private:
    Process(ProcessOptions options, std::unique_ptr<detail::Target> target);
    void give_up() noexcept;
    static int run_in_snapshot(void* process);

    std::unique_ptr<detail::Target> target_;
};

/// The calling process.
class CurrentProcess {
  public:
    /// `MainProcess` in a program that the user started.
    MP_EXPORT std::string name() const;
    /// Its process id.
    MP_EXPORT pid_t pid() const;
    /// What the processes that it starts default to.
    MP_EXPORT bool daemon() const;
    /// It asks, so it is.
    bool is_alive() const { return true; }
    /// None as long as it lives.
    std::optional<int> exitcode() const { return std::nullopt; }
};
/// The process that asks. Does not fail.
inline CurrentProcess current_process() { return {}; }

/// The process that started the calling one.
class ParentProcess {
  public:
    /// For parent_process().
    ParentProcess(std::string name, pid_t pid) : name_(std::move(name)), pid_(pid) {}
    /// As it was given, or `MainProcess`.
    const std::string& name() const { return name_; }
    /// Its process id.
    pid_t pid() const { return pid_; }
    /// True as long as anybody can ask: a process ends with the one that started it.
    MP_EXPORT bool is_alive() const;

  private:
    std::string name_;
    pid_t pid_;
};
/// Nothing in a program that the user started.
MP_EXPORT std::optional<ParentProcess> parent_process();

/// Tells a process that its owner wants it to end. In a process that the user started it never does.
class StopToken {
  public:
    /// Whether this process, or the task it runs, has been asked to stop. Any thread.
    MP_EXPORT bool stop_requested() const;
    /// Sleeps until a stop is requested, at most this long: true when it is. For a loop that does something now and then.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) const {
        return wait_seconds(std::chrono::duration<double>(limit).count());
    }

  private:
    MP_EXPORT bool wait_seconds(double seconds) const;
};
/// The calling process's own.
inline StopToken stop_token() { return {}; }

}  // namespace mp
