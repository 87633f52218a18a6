// Ctrl-C in a program that has pools: the first press is told to every pool's own thread, the second ends the program.
#pragma once

#include <sys/types.h>

namespace mp::pool {

/// One pool's place among those that are told. While there is one, and SIGINT would have its default action, SIGINT has
/// a handler; a program's own handler and SIG_IGN are left alone. The last one puts the default action back.
class InterruptWatch {
  public:
    /// At the first press 1 is written to `doorbell`, an eventfd that does not block. While the program is being ended
    /// this does not return.
    explicit InterruptWatch(int doorbell);
    /// When the pool's own thread is about to end: it will not be told. After a press this may end the program.
    ~InterruptWatch();
    InterruptWatch(const InterruptWatch&) = delete;
    InterruptWatch& operator=(const InterruptWatch&) = delete;

    /// The first press came.
    static bool pressed();
    /// This pool has stopped. When all have, the program ends by SIGINT.
    [[noreturn]] void stopped();

    struct Place;

  private:
    Place* place_ = nullptr;
    pid_t owner_;
};

}  // namespace mp::pool
