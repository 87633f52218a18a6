// Frames as numbers that mean the same in every process: (module, offset in it). What a crash report or a record of an
// exception carries, and what a Stack is made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <multiprocessing/stack.hpp>

namespace mp::os {

struct RawModule {
    std::string path;                     ///< may have lost its beginning; the build-id is then what finds it
    std::vector<unsigned char> build_id;  ///< empty when the module has none
};

struct RawFrame {
    std::uint32_t module = 0;   ///< index into RawStack::modules; past its end: code in no module
    bool return_address = true; ///< the call is at the instruction before
    std::uint64_t offset = 0;   ///< address minus the module's load address; the address itself without a module
};

struct RawStack {
    std::vector<RawModule> modules;
    std::vector<RawFrame> frames;
};

/// Frames at these code addresses of this process. All are return addresses.
RawStack locate(const std::uintptr_t* addresses, std::size_t count);

/// A stack that finds names and lines when it is first asked.
Stack make_stack(RawStack raw);

/// The numbers behind a stack.
RawStack raw_of(const Stack& stack);

}  // namespace mp::os
