#include "os/signal_name.hpp"

#include <csignal>
#include <cstring>

namespace mp::os {

std::string signal_name(int number) {
    if (number > 0 && number < SIGRTMIN) {
        if (const char* name = ::sigabbrev_np(number)) return std::string("SIG") + name;
    }
    if (number == SIGRTMIN) return "SIGRTMIN";
    if (number > SIGRTMIN && number <= SIGRTMAX) return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
    return "signal " + std::to_string(number);
}

}  // namespace mp::os
