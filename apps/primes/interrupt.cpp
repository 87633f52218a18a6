#include "primes/interrupt.hpp"

#include <csignal>

namespace primes {
namespace {

volatile std::sig_atomic_t pressed = 0;  // a handler can reach nothing else
struct sigaction before;

}  // namespace

Interrupt::Interrupt() {
    struct sigaction action = {};
    action.sa_handler = [](int) { pressed = 1; };
    ::sigaction(SIGINT, &action, &before);
}

Interrupt::~Interrupt() { ::sigaction(SIGINT, &before, nullptr); }

bool Interrupt::requested() { return pressed != 0; }

}  // namespace primes
