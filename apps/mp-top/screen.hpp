// The live view.
#pragma once

#include "arguments.hpp"

namespace top {

/// Until q is pressed. The exit code.
int watch(Arguments arguments);

}  // namespace top
