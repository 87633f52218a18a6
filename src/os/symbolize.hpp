// Names and lines for frames, from debug information (libdw, loaded when first needed) or symbol tables.
#pragma once

#include <vector>

#include <multiprocessing/stack.hpp>

#include "os/raw_stack.hpp"

namespace mp::os {

/// Inlined calls become frames of their own. Reads files; milliseconds for a large program. Never fails: what cannot be
/// found out stays empty.
std::vector<StackFrame> symbolize(const RawStack& raw);

}  // namespace mp::os
