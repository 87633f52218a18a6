// Ctrl-C as something to be looked at.
#pragma once

namespace primes {

/// From construction to destruction, SIGINT only sets a flag.
class Interrupt {
  public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    static bool requested();
};

}  // namespace primes
