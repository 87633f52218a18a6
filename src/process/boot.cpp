#include "process/boot.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>

#include <multiprocessing/errors.hpp>

#include "os/crash_report.hpp"
#include "process/failure.hpp"

namespace mp::process {

namespace {

// Set once, before any code of the user runs in this process.
const Self* self_in_this_process = nullptr;
bool entry_returned = false;
bool prepared = false;  // inherited by what is forked from a process that was
pid_t pid_of_this_process = 0;

// Makes `wanted` the descriptor `number`, or /dev/null where there is none.
void place_stream(os::UniqueFd wanted, int number, int flags_of_null) {
    if (!wanted) wanted.reset(::open("/dev/null", flags_of_null | O_CLOEXEC));
    if (wanted.get() == number) {
        ::fcntl(number, F_SETFD, 0);
        wanted.release();
    } else if (wanted) {
        ::dup2(wanted.get(), number);
    }
}

void replace_environment(std::string entries) {
    // Owned by the process until its end, as the kernel's own block would be.
    static auto& block = *new std::string;            // NOLINT(cppcoreguidelines-owning-memory)
    static auto& pointers = *new std::vector<char*>;  // NOLINT(cppcoreguidelines-owning-memory)
    block = std::move(entries);
    pointers.clear();
    for (char* entry = block.data(); entry < block.data() + block.size(); entry += std::strlen(entry) + 1)
        pointers.push_back(entry);
    pointers.push_back(nullptr);
    environ = pointers.data();
}

// The first that was called: quick_exit and exit handlers may call others.
void note_exit_call(ExitCall call) {
    if (::getpid() != pid_of_this_process) return;  // a fork that it made
    std::uint32_t none = 0;
    self_in_this_process->report->called_exit.compare_exchange_strong(none, static_cast<std::uint32_t>(call),
                                                                      std::memory_order_relaxed);
}

// Runs when the process exits, after every handler that it registered itself.
void at_the_end(int code, void* is_snapshot) {
    if (!entry_returned) note_exit_call(ExitCall::exit);
    if (::getpid() == pid_of_this_process)
        self_in_this_process->report->exit_code.store(ReportPage::exits | static_cast<std::uint8_t>(code),
                                                      std::memory_order_release);
    if (!is_snapshot) return;
    // What was registered before belongs to the caller that this process is a copy of: streams are flushed, since this
    // process wrote to them, but neither handlers nor destructors of the caller may run here.
    std::cout.flush();
    std::cerr.flush();
    std::clog.flush();
    std::fflush(nullptr);
    std::_Exit(code);
}

int run_entry(const Boot& boot, const std::vector<serial::Handle>& handles) {
    try {
        if (const auto* snapshot = std::get_if<SnapshotCall>(&boot.entry)) return snapshot->call(snapshot->argument);
        const auto& entry = detail::resolve<detail::ProcessEntry>(std::get<detail::EntryId>(boot.entry));
        serial::Reader reader(boot.arguments, handles);
        return entry.code(reader);
    } catch (...) {
        report_failure(std::current_exception(), *self_in_this_process);
        return 1;
    }
}

}  // namespace

const Self* self() { return self_in_this_process; }

std::string own_environment() {
    std::string block;
    for (char** entry = environ; entry && *entry; ++entry) block.append(*entry, std::strlen(*entry) + 1);
    return block;
}

void encode_boot(serial::Writer& writer, const Boot& boot) {
    serial::encode(writer, boot.name);
    const bool portable = std::holds_alternative<detail::EntryId>(boot.entry);
    serial::encode(writer, portable);
    if (portable) {
        serial::encode(writer, std::get<detail::EntryId>(boot.entry));
    } else {
        // Addresses, for a process that is a copy of this one.
        const auto& call = std::get<SnapshotCall>(boot.entry);
        serial::encode(writer, reinterpret_cast<std::uintptr_t>(call.call));
        serial::encode(writer, reinterpret_cast<std::uintptr_t>(call.argument));
    }
    serial::encode(writer, boot.arguments);
    serial::encode(writer, boot.parent_name);
    serial::encode(writer, boot.parent_pid);
    serial::encode(writer, boot.daemon);
    serial::encode(writer, boot.method);
    serial::encode(writer, boot.default_method);
    serial::encode(writer, boot.umask);
    serial::encode(writer, boot.log_level);
    serial::encode(writer, boot.environment);
}

Boot decode_boot(serial::Reader& reader) {
    Boot boot;
    boot.name = serial::decode<std::string>(reader);
    if (serial::decode<bool>(reader)) {
        boot.entry = serial::decode<detail::EntryId>(reader);
    } else {
        SnapshotCall call;
        call.call = reinterpret_cast<int (*)(void*)>(serial::decode<std::uintptr_t>(reader));
        call.argument = reinterpret_cast<void*>(serial::decode<std::uintptr_t>(reader));
        boot.entry = call;
    }
    boot.arguments = serial::decode<std::vector<std::byte>>(reader);
    boot.parent_name = serial::decode<std::string>(reader);
    boot.parent_pid = serial::decode<std::int32_t>(reader);
    boot.daemon = serial::decode<bool>(reader);
    boot.method = serial::decode<StartMethod>(reader);
    boot.default_method = serial::decode<StartMethod>(reader);
    boot.umask = serial::decode<std::uint32_t>(reader);
    boot.log_level = serial::decode<LogLevel>(reader);
    boot.environment = serial::decode<std::string>(reader);
    return boot;
}

void prepare_to_boot(bool is_snapshot) {
    prepared = true;
    place_stream(os::UniqueFd(), STDIN_FILENO, O_RDONLY);
    // Whole lines, so that those of several processes do not run into each other.
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    ::on_exit(&at_the_end, is_snapshot ? &prepared : nullptr);
    std::at_quick_exit([] { note_exit_call(ExitCall::quick_exit); });
    prepare_failure_reports();
}

bool begin(ReportPage& report) {
    std::uint32_t nobody = ReportPage::not_begun;
    return report.begun.compare_exchange_strong(nobody, static_cast<std::uint32_t>(::getpid()),
                                                std::memory_order_acq_rel);
}

void run_booted(Boot boot, os::Mapping report, BootFds fds, bool is_snapshot) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::prctl(PR_SET_NAME, boot.name.c_str());
    // A snapshot may be one of a process that was prepared as something else.
    if (is_snapshot || !prepared) prepare_to_boot(is_snapshot);
    place_stream(std::move(fds.output), STDOUT_FILENO, O_WRONLY);
    place_stream(std::move(fds.error), STDERR_FILENO, O_WRONLY);
    if (::fchdir(fds.directory.get()) != 0) {
        // It was removed or may not be entered; relative paths will say so when they are used.
    }
    fds.directory.reset();
    ::umask(boot.umask);
    if (!is_snapshot) replace_environment(std::move(boot.environment));
    set_start_method(boot.default_method);
    set_log_level(boot.log_level);

    // Lives until the process ends, reachable for leak checkers by the pointer to its first member.
    struct Kept {
        Self self;
        os::Mapping report;
    };
    auto* page = reinterpret_cast<ReportPage*>(report.data());
    self_in_this_process =
        &(new Kept{{boot.name, boot.parent_name, boot.parent_pid, boot.daemon, boot.method, page}, std::move(report)})
             ->self;
    pid_of_this_process = ::getpid();
    report_failures(*self_in_this_process);

    const int code = run_entry(boot, fds.handles);
    entry_returned = true;
    // A pointer is bound when the program is loaded; a call by name would be here, by each process anew.
    static void (*const volatile leave)(int) = &std::exit;
    leave(code);
    std::abort();
}

}  // namespace mp::process
