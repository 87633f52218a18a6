#include <multiprocessing/errors.hpp>

#include <cmath>
#include <cstdio>
#include <mutex>
#include <ostream>
#include <sstream>

namespace mp {
namespace {

std::string list_of(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + '"';
    return text;
}

/// `2 s`, `1.5 s`, `250 ms`, `10 us`
std::string text_of(std::chrono::nanoseconds duration) {
    const double ns = static_cast<double>(duration.count());
    const struct { double scale; const char* unit; } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    for (const auto& [scale, unit] : units) {
        if (std::abs(ns) < scale) continue;
        char text[48];
        std::snprintf(text, sizeof text, "%.6g %s", ns / scale, unit);
        return text;
    }
    return "0 s";
}

/// `2 GiB`, `1.5 MiB`, `100 bytes`
std::string text_of_bytes(std::uint64_t bytes) {
    const struct { int shift; const char* unit; } units[] = {{30, "GiB"}, {20, "MiB"}, {10, "KiB"}};
    for (const auto& [shift, unit] : units) {
        if (bytes >> shift == 0) continue;
        char text[48];
        std::snprintf(text, sizeof text, "%.4g %s", static_cast<double>(bytes) / static_cast<double>(1ULL << shift), unit);
        return text;
    }
    return std::to_string(bytes) + " bytes";
}

/// `parse(#7): `, or nothing when nothing is known of the task.
std::string prefix_of(const TaskInfo& task) {
    const std::string text = task.to_string();
    return text.empty() ? text : text + ": ";
}

std::string timeout_text(const TaskInfo& task, std::chrono::nanoseconds limit, pid_t pid) {
    std::string text = prefix_of(task) + "stopped after its limit of " + text_of(limit);
    if (pid > 0) text += " in worker " + std::to_string(pid);
    return text;
}

std::string cancelled_text(const TaskInfo& task, const std::string& reason) {
    return prefix_of(task) + "cancelled" + (reason.empty() ? "" : ": " + reason);
}

}  // namespace

Error::Error(const std::string& text) : std::runtime_error(text) {}

// Out of line, so that each type's vtable and type_info exist once, in the library.
Error::~Error() = default;
SystemError::~SystemError() = default;
SerializationError::~SerializationError() = default;
Closed::~Closed() = default;
AuthenticationError::~AuthenticationError() = default;
PoolBroken::~PoolBroken() = default;
UnsafeFork::~UnsafeFork() = default;
WorkerLost::~WorkerLost() = default;
MemoryLimitExceeded::~MemoryLimitExceeded() = default;
TaskTimeout::~TaskTimeout() = default;
TaskCancelled::~TaskCancelled() = default;
TaskError::~TaskError() = default;

std::ostream& operator<<(std::ostream& out, const Error& error) {
    out << error.what();
    Stack stack;
    const auto* lost = dynamic_cast<const WorkerLost*>(&error);
    if (lost) stack = lost->stack();
    if (const auto* timeout = dynamic_cast<const TaskTimeout*>(&error)) stack = timeout->stack();
    if (std::string text = stack.to_string(); !text.empty()) {
        text.pop_back();
        out << '\n' << text;
    }
    if (lost && !lost->stderr_tail().empty()) {
        out << "\n  last lines of its standard error:";
        for (const std::string& line : lost->stderr_tail()) out << "\n    " << line;
    }
    return out;
}

SystemError::SystemError(std::error_code code, const std::string& operation)
    : Error(operation + ": " + code.message()), code_(code) {}

UnsafeFork::UnsafeFork(std::vector<std::string> threads)
    : Error("cannot fork safely: this process has " + std::to_string(threads.size()) +
            (threads.size() == 1 ? " other thread (" : " other threads (") + list_of(threads) +
            "), and a lock that one of them holds would stay locked in the child; start processes before threads, or "
            "use StartMethod::forkserver"),
      threads_(std::make_shared<const std::vector<std::string>>(std::move(threads))) {}

UnsafeFork::UnsafeFork(const std::string& text)
    : Error(text), threads_(std::make_shared<const std::vector<std::string>>()) {}

std::string TaskInfo::to_string() const {
    if (!index) return label.empty() ? function : function + "(\"" + label + "\")";
    std::string text = (function.empty() ? "task" : function) + "(#" + std::to_string(*index);
    if (!label.empty()) text += " \"" + label + '"';
    return text + ", attempt " + std::to_string(attempt) + ')';
}

struct WorkerLost::State {
    explicit State(Details d) : details(std::move(d)) {}

    const Details details;
    std::mutex mutex;   // guards text while it is made
    std::string text;   // empty until what() is asked for
};

WorkerLost::WorkerLost(Details details)
    : Error("worker lost"), state_(std::make_shared<State>(std::move(details))) {}

const WorkerLost::Details& WorkerLost::details() const noexcept { return state_->details; }

const char* WorkerLost::what() const noexcept {
    try {
        const std::lock_guard guard(state_->mutex);
        if (state_->text.empty()) {
            const Details& d = state_->details;
            std::string text = prefix_of(d.task) + "worker " + std::to_string(d.pid) + ' ';
            if (d.memory_limit) {
                text += "passed its memory limit of " + text_of_bytes(*d.memory_limit);
                if (const auto evidence = d.status.memory_evidence(); !evidence.empty()) text += " (" + evidence + ')';
            } else {
                text += d.status.to_string();
                if (d.called_exit) text += " (the task called " + (d.exit_call.empty() ? "exit" : d.exit_call) + ')';
            }
            state_->text = std::move(text);
        }
        return state_->text.c_str();
    } catch (...) {
        return Error::what();
    }
}

TaskTimeout::TaskTimeout(TaskInfo task, std::chrono::nanoseconds limit, pid_t pid, Stack stack)
    : Error(timeout_text(task, limit, pid)),
      task_(std::make_shared<const TaskInfo>(std::move(task))),
      limit_(limit),
      pid_(pid),
      stack_(std::move(stack)) {}

TaskTimeout::TaskTimeout(const std::string& text) : Error(text), task_(std::make_shared<const TaskInfo>()) {}

TaskCancelled::TaskCancelled(TaskInfo task, const std::string& reason)
    : Error(cancelled_text(task, reason)), task_(std::make_shared<const TaskInfo>(std::move(task))) {}

TaskCancelled::TaskCancelled(const std::string& text) : Error(text), task_(std::make_shared<const TaskInfo>()) {}

}  // namespace mp
