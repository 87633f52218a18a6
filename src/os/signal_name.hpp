// SIGSEGV instead of 11.
#pragma once

#include <string>

namespace mp::os {

/// `SIGSEGV`, `SIGRTMIN+3`, `signal 99`.
std::string signal_name(int number);

}  // namespace mp::os
