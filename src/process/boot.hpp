// What a new process is told, and its first steps.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <multiprocessing/context.hpp>
#include <multiprocessing/log.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/serialize.hpp>

#include "os/mapping.hpp"
#include "os/unique_fd.hpp"
#include "process/report.hpp"

namespace mp::process {

/// Something to call in a process that is a snapshot of the caller: valid there and nowhere else.
struct SnapshotCall {
    int (*call)(void* argument) = nullptr;
    void* argument = nullptr;
};

/// Everything that a new process takes over from the caller, besides descriptors.
struct Boot {
    std::string name;
    std::variant<detail::EntryId, SnapshotCall> entry;
    std::vector<std::byte> arguments;  // for an EntryId
    std::string parent_name;
    std::int32_t parent_pid = 0;
    bool daemon = false;  // what processes started from there default to
    StartMethod method = StartMethod::forkserver;
    StartMethod default_method = StartMethod::forkserver;
    std::uint32_t umask = 0;
    LogLevel log_level = LogLevel::off;
    std::string environment;  // each entry with the zero at its end
};

/// The environment of this process, as a Boot has it.
std::string own_environment();

/// The descriptors that travel with a Boot, in this order; the handles of the arguments follow.
struct BootFds {
    os::UniqueFd directory;
    os::UniqueFd output;  // missing where the caller has it closed
    os::UniqueFd error;
    std::vector<serial::Handle> handles;
};

void encode_boot(serial::Writer& writer, const Boot& boot);
Boot decode_boot(serial::Reader& reader);

/// What this process was told, when the library started it.
struct Self {
    std::string name;
    std::string parent_name;
    std::int32_t parent_pid = 0;
    bool daemon = false;
    StartMethod method = StartMethod::forkserver;
    ReportPage* report = nullptr;
};
/// Null in a program that the user started.
const Self* self();

/// What a new process does that depends on nothing it is told. A fork server does it once, for all that it forks.
void prepare_to_boot(bool is_snapshot);

/// Notes in the report that this process has begun. False when its owner has another in its place by now: it must not.
bool begin(ReportPage& report);

/// Runs a new process, which has begun and is bound to its lifeline, to its exit. `report`: mapped. `is_snapshot`: it
/// is a fork of the caller, whose exit handlers and static destructors are not its own.
[[noreturn]] void run_booted(Boot boot, os::Mapping report, BootFds fds, bool is_snapshot);

}  // namespace mp::process
