// Names of functions from a file's ELF symbol table: what remains where libdw is not installed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mp::os {

/// Mangled names of the functions around `addresses` (as in the file), empty where there is none. All empty when the
/// file cannot be read, or its build-id is another than `build_id` (when that is not empty).
std::vector<std::string> symbols_at(const std::string& path, const std::vector<unsigned char>& build_id,
                                    const std::vector<std::uint64_t>& addresses);

}  // namespace mp::os
