// The variables of the program itself that live as long as it does, and what is in them: to find those that two
// processes of the same program have different.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mp::os {

/// A variable with static storage in writable memory. Those of threads are left out, as are those of this library, of
/// the C and C++ libraries and of the system's.
struct GlobalVariable {
    std::string name;  ///< for people: `table`, `parser::(anonymous namespace)::cache`
    std::string symbol;
    std::string module;        ///< its file
    std::uint64_t offset = 0;  ///< as in the file's symbol table
    std::uintptr_t address = 0;
    std::uint64_t size = 0;
};

/// Those of the program and of the libraries that belong to it, always in the same order; none where it has no symbol
/// table. Reads files: milliseconds.
std::vector<GlobalVariable> global_variables();

/// Their contents one after the other, where every word that is an address in this process is replaced by one value
/// that stands for any address.
std::vector<std::byte> contents_of(std::span<const GlobalVariable> variables);

/// Those whose contents differ in two such lists of contents. All sizes must fit, or none is found.
std::vector<GlobalVariable> differing(std::span<const GlobalVariable> variables, std::span<const std::byte> one,
                                      std::span<const std::byte> other);

/// `parser.cpp:12` for each variable, or nothing where debug information does not say.
std::vector<std::string> lines_of(std::span<const GlobalVariable> variables);

}  // namespace mp::os
