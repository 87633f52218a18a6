// Where exceptions were thrown: every throw of the program passes through here on its way to the C++ runtime.
#pragma once

#include <exception>

#include "os/raw_stack.hpp"

namespace mp::os {

/// From now on each throw in this process notes the calls that led to it (1 to 4 us a throw). Workers call it; elsewhere
/// a throw costs one more jump. Without effect where another __cxa_throw comes first: in programs linked with
/// -static or -static-libstdc++, and with clang's sanitizers.
void enable_throw_stacks();

/// Where `exception` was thrown; empty when that is not known: it was thrown in another thread, before
/// enable_throw_stacks, by std::make_exception_ptr, or too many throws ago. To throw it again does not change its place.
RawStack throw_stack(const std::exception_ptr& exception);

}  // namespace mp::os
