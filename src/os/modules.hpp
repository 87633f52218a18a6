// The program and the shared libraries loaded into this process, found by address and by build-id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "os/build_id.hpp"

namespace mp::os {

struct Module {
    struct Segment {
        std::uintptr_t begin;
        std::uintptr_t end;
        bool readable;
        bool executable;
    };

    std::string path;                          ///< absolute, as far as it can be known
    BuildId build_id;                          ///< empty when it was linked without one
    const std::byte* build_id_note = nullptr;  ///< where the build-id lies in memory
    std::uintptr_t base = 0;                   ///< what the file's addresses are counted from: 0 for a non-PIE program
    std::vector<Segment> segments;
    bool is_program = false;  ///< the program itself, not a library

    bool readable(std::uintptr_t address, std::size_t size) const;
    bool executable(std::uintptr_t address) const;
};
using ModulePtr = std::shared_ptr<const Module>;

/// The module that `address` lies in; none for heap, stack and generated code. Some nanoseconds for the module found
/// last by this thread. Right also when a library was unloaded and another one loaded in its place. Any thread.
ModulePtr module_at(const void* address);

/// The loaded module of that build, at a small cost when it was asked for before. Never loads anything. Any thread.
ModulePtr module_with(const BuildId& build_id);

/// The program itself.
ModulePtr main_module();

struct LoadedModule {
    ModulePtr module;    ///< none when it could not be loaded
    bool other_build = false;  ///< the file is there, but is another build
    std::string reason;  ///< why it could not be loaded otherwise
};
/// Loads the shared library at `path` (absolute) for good, provided its file has that build-id: checked before any of
/// its code runs. RTLD_NOW | RTLD_LOCAL.
LoadedModule load_module(const std::string& path, const BuildId& build_id);

/// What is mapped around an address, as /proc/self/maps says.
struct MappedRange {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    bool readable = false;
    bool executable = false;
    std::string file;  ///< empty when there is none
};
/// None when nothing is mapped there.
std::optional<MappedRange> mapped_at(const void* address);

}  // namespace mp::os
