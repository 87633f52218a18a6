#include <multiprocessing/process.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <ostream>

#include "base/deadline.hpp"
#include "os/futex.hpp"
#include "os/own_pid.hpp"
#include "process/failure.hpp"
#include "process/launch.hpp"

namespace mp {

namespace detail {

struct ProcessState {
    std::string name;
    bool daemon = false;
    std::optional<StartMethod> method;
    const pid_t owner = os::own_pid();
    bool is_self = false;                      // set in the child, in its copy of the object

    std::mutex mutex{};                        // guards what follows
    std::shared_ptr<process::Child> child{};   // null before start() and after close()
    bool closed = false;
};

namespace {

// The processes that were started here and may still run, for active_children().
struct Started {
    std::mutex mutex;
    std::vector<std::weak_ptr<ProcessState>> list;
    std::atomic<unsigned> counter{0};
    pid_t owner = os::own_pid();
};

// Never destroyed: static Process objects may end after it. A forked child starts with an empty one.
Started& started() {
    static Started* it = new Started;  // NOLINT(cppcoreguidelines-owning-memory)
    if (it->owner != os::own_pid()) it = new Started;
    return *it;
}

std::string default_name() {
    const std::string number = std::to_string(++started().counter);
    const process::Self* self = process::self();
    return self && self->name.starts_with("Process-") ? self->name + ":" + number : "Process-" + number;
}

std::shared_ptr<ProcessState> make_state(ProcessOptions options) {
    auto state = std::make_shared<ProcessState>();
    state->name = options.name.empty() ? default_name() : std::move(options.name);
    const process::Self* self = process::self();
    state->daemon = options.daemon.value_or(self && self->daemon);
    state->method = options.start_method;
    return state;
}

// The started child; throws what a caller should know otherwise.
std::shared_ptr<process::Child> child_of(ProcessState& state, const char* operation) {
    // First of all: in a forked child the mutex may be held by a thread that is not there.
    if (state.owner != os::own_pid())
        throw Error("process \"" + state.name + "\" was made by another process: cannot " + operation + " it");
    std::lock_guard lock(state.mutex);
    if (state.closed) throw Error("process \"" + state.name + "\" is closed: cannot " + operation + " it");
    if (!state.child) throw Error("process \"" + state.name + "\" was not started: cannot " + operation + " it");
    return state.child;
}

// As above, but null before start(), and in other processes than the one that made it.
std::shared_ptr<process::Child> child_if_started(ProcessState& state) {
    if (state.owner != os::own_pid()) return nullptr;
    std::lock_guard lock(state.mutex);
    if (state.closed) throw Error("process \"" + state.name + "\" is closed");
    return state.child;
}

}  // namespace
}  // namespace detail

using detail::child_if_started;
using detail::child_of;

ProcessHandle::ProcessHandle(std::shared_ptr<detail::ProcessState> state) : state_(std::move(state)) {}

const std::string& ProcessHandle::name() const { return state_->name; }
bool ProcessHandle::daemon() const { return state_->daemon; }

std::optional<pid_t> ProcessHandle::pid() const {
    if (state_->is_self) return os::own_pid();
    const auto child = child_if_started(*state_);
    return child ? std::optional(child->pid()) : std::nullopt;
}

bool ProcessHandle::is_alive() const {
    if (state_->is_self) return true;
    const auto child = child_if_started(*state_);
    return child && !child->status();
}

std::optional<int> ProcessHandle::exitcode() const {
    const auto status = exit_status();
    return status ? std::optional(status->exitcode()) : std::nullopt;
}

std::optional<ExitStatus> ProcessHandle::exit_status() const {
    const auto child = child_if_started(*state_);
    return child ? child->status() : std::nullopt;
}

std::optional<Failure> ProcessHandle::error() const {
    const auto child = child_if_started(*state_);
    const auto exception = child && child->status() ? process::read_failure(child->report(), state_->name) : nullptr;
    return exception ? std::optional<Failure>(exception) : std::nullopt;
}

int ProcessHandle::sentinel() const { return child_of(*state_, "watch")->sentinel(); }

void ProcessHandle::join() { child_of(*state_, "join")->wait(base::Deadline::never()); }

bool ProcessHandle::join_until_seconds(double seconds) {
    return child_of(*state_, "join")->wait(base::Deadline::after(std::chrono::duration<double>(seconds)));
}

void ProcessHandle::terminate() { child_of(*state_, "terminate")->signal(SIGTERM); }
void ProcessHandle::kill() { child_of(*state_, "kill")->signal(SIGKILL); }
void ProcessHandle::interrupt() { child_of(*state_, "interrupt")->signal(SIGINT); }
void ProcessHandle::request_stop() { child_of(*state_, "stop")->request_stop(); }

std::ostream& operator<<(std::ostream& out, const ProcessHandle& process) {
    if (!process.state_) return out << "<Process moved>";
    auto& state = *process.state_;
    std::shared_ptr<process::Child> child;
    bool closed = false;
    if (state.owner == os::own_pid()) {
        std::lock_guard lock(state.mutex);
        child = state.child;
        closed = state.closed;
    }
    out << "<Process name='" << state.name << '\'';
    if (child) out << " pid=" << child->pid();
    out << " parent=" << state.owner;
    if (closed) out << " closed";
    else if (state.is_self) out << " started";
    else if (!child) out << " initial";
    else if (const auto status = child->status()) out << " stopped exitcode=" << status->exitcode();
    else out << " started";
    if (state.daemon) out << " daemon";
    return out << '>';
}

Process::Process() : Process(ProcessOptions{}) {}
Process::Process(ProcessOptions options) : Process(std::move(options), std::unique_ptr<detail::Target>()) {}
Process::Process(ProcessOptions options, std::unique_ptr<detail::Target> target)
    : ProcessHandle(detail::make_state(std::move(options))), target_(std::move(target)) {}

Process::Process(Process&& other) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
    if (this != &other) {
        give_up();
        state_ = std::move(other.state_);
        target_ = std::move(other.target_);
    }
    return *this;
}

Process::~Process() { give_up(); }

// Ends the process before the object goes.
void Process::give_up() noexcept {
    if (!state_ || state_->owner != os::own_pid()) return;
    const auto child = [&] {
        std::lock_guard lock(state_->mutex);
        return state_->child;
    }();
    if (!child) return;
    if (state_->daemon) {
        child->signal(SIGTERM);
        if (child->wait(base::Deadline::after(std::chrono::seconds(5)))) return;
        child->signal(SIGKILL);
    } else {
        child->request_stop();
    }
    child->wait(base::Deadline::never());
}

void Process::run() {
    if (target_) target_->call();
}

int Process::run_in_snapshot(void* process) {
    static_cast<Process*>(process)->state_->is_self = true;
    static_cast<Process*>(process)->run();
    return 0;
}

void Process::start() {
    auto& state = *state_;
    if (state.owner != os::own_pid())
        throw Error("process \"" + state.name + "\" was made by another process: cannot start it here");
    std::unique_lock lock(state.mutex);
    if (state.closed) throw Error("process \"" + state.name + "\" is closed: cannot start it");
    if (state.child) throw Error("process \"" + state.name + "\" was started already: a process runs only once");

    // A derived class has its work, and its state, in memory that only a fork of this process sees; so has a REPL.
    const bool derived = typeid(*this) != typeid(Process);
    const detail::EntryRecord* entry = target_ && !derived ? target_->entry() : nullptr;
    if (entry && !detail::lies_in_module(*entry)) entry = nullptr;
    process::LaunchSpec spec;
    spec.name = state.name;
    spec.daemon = state.daemon;
    spec.method = state.method.value_or(get_start_method());
    if (!entry && spec.method != StartMethod::fork) {
        if (state.method)
            throw Error("process \"" + state.name + "\" cannot use start method " + std::string(to_string(spec.method)) +
                        ": its target exists only in the caller's memory (a class with run(), a closure over "
                        "references, arguments that cannot be serialised, or a function from a REPL); use "
                        "StartMethod::fork");
        spec.method = StartMethod::fork;
    }
    serial::Writer arguments;
    if (spec.method == StartMethod::fork) {
        spec.entry = process::SnapshotCall{&Process::run_in_snapshot, this};
    } else {
        spec.entry = detail::identify(*entry);
        target_->encode(arguments);
        spec.arguments = arguments.bytes();
        spec.handles = arguments.handles();
    }
    state.child = process::launch(spec);
    // Like Python: what the child was given is not kept alive here.
    if (!derived) target_.reset();
    lock.unlock();

    auto& all = detail::started();
    std::lock_guard all_lock(all.mutex);
    std::erase_if(all.list, [](const auto& weak) { return weak.expired(); });
    all.list.push_back(state_);
}

void Process::close() {
    if (state_->owner != os::own_pid()) return;
    std::shared_ptr<process::Child> child;
    {
        std::lock_guard lock(state_->mutex);
        if (state_->closed) return;
        if (state_->child && !state_->child->status())
            throw Error("cannot close process \"" + state_->name + "\" while it runs: join() it first, or terminate() it");
        state_->closed = true;
        child = std::move(state_->child);
    }
    target_.reset();
}

std::vector<ProcessHandle> active_children() {
    std::vector<ProcessHandle> alive;
    auto& all = detail::started();
    std::lock_guard lock(all.mutex);
    std::erase_if(all.list, [&](const auto& weak) {
        const auto state = weak.lock();
        if (!state) return true;
        std::lock_guard state_lock(state->mutex);
        if (!state->child || state->child->status()) return true;
        alive.push_back(ProcessHandle(state));
        return false;
    });
    return alive;
}

std::string CurrentProcess::name() const {
    const process::Self* self = process::self();
    return self ? self->name : "MainProcess";
}
pid_t CurrentProcess::pid() const { return os::own_pid(); }
bool CurrentProcess::daemon() const { return process::self() && process::self()->daemon; }

bool ParentProcess::is_alive() const { return ::kill(pid_, 0) == 0 || errno == EPERM; }

std::optional<ParentProcess> parent_process() {
    const process::Self* self = process::self();
    if (!self) return std::nullopt;
    return ParentProcess(self->parent_name, self->parent_pid);
}

bool StopToken::stop_requested() const {
    const process::Self* self = process::self();
    return self && self->report->stop.load(std::memory_order_acquire) != 0;
}

bool StopToken::wait_seconds(double seconds) const {
    const auto deadline = base::Deadline::after(std::chrono::duration<double>(seconds));
    const process::Self* self = process::self();
    static constexpr std::atomic<std::uint32_t> never{0};
    const auto& word = self ? self->report->stop : never;
    while (word.load(std::memory_order_acquire) == 0)
        if (!os::futex_wait(word, 0, deadline) && deadline.expired()) return stop_requested();
    return true;
}

}  // namespace mp
