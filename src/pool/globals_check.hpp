// MULTIPROCESSING_CHECK=globals: tells which of the program's variables a fresh worker does not have as the caller has
// them.
//
// A worker's variables are taken before its initializer runs, the caller's at its first use of the pool; compared are
// the first ones that come. Slow, and only on request.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "os/globals.hpp"

namespace mp::pool {

/// Whether the environment asks for it. Also in workers.
bool checks_globals();

/// In the owner; under the pool's lock.
class GlobalsCheck {
  public:
    GlobalsCheck() : wanted_(checks_globals()) {}

    /// At each use of the pool.
    void used(const std::string& pool) {
        if (wanted_) [[unlikely]]
            take_own(pool);
    }
    /// What a worker sent.
    void fresh(const std::string& pool, std::span<const std::byte> contents);

  private:
    void take_own(const std::string& pool);
    void compare(const std::string& pool);

    bool wanted_;
    std::vector<os::GlobalVariable> variables_;
    std::vector<std::byte> own_, fresh_;
    bool own_taken_ = false, fresh_taken_ = false;
};

/// What is said, in one block: the variables by name and line, at most twenty, and what can be done.
std::string globals_report(const std::string& pool, std::span<const os::GlobalVariable> variables,
                           std::span<const std::string> lines);

}  // namespace mp::pool
