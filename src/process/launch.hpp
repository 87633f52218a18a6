// Starts a process by any method.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "process/boot.hpp"
#include "process/child.hpp"
#include "process/forkserver.hpp"

namespace mp::process {

struct LaunchSpec {
    std::string name;
    StartMethod method = StartMethod::forkserver;
    std::variant<detail::EntryId, SnapshotCall> entry;
    std::span<const std::byte> arguments;
    std::span<const serial::Handle> handles;
    bool daemon = false;
    /// For method fork: the snapshot to fork from; made from the caller when there is none.
    std::shared_ptr<Forkserver> snapshot{};
    /// What its standard output and error are; the caller's where there is none. -1: nothing.
    std::optional<int> output{}, error{};
};

/// Throws SystemError with the operation that failed, UnsafeFork, or Error; then nothing is left behind.
std::shared_ptr<Child> launch(const LaunchSpec& spec);

}  // namespace mp::process
