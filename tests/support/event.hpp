// Waiting for something without sleeping for a guessed time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>

namespace mp::test {

/// Set once by any thread or forked child, awaited by any other. Both must share it: a global or a local of the test.
class Event {
  public:
    Event();
    Event(const Event&) = delete;
    ~Event();

    void set();
    /// True as soon as it is set; false after `patience`, which should be generous.
    bool wait(std::chrono::milliseconds patience = std::chrono::seconds(30)) const;
    bool is_set() const { return wait(std::chrono::milliseconds(0)); }

  private:
    int fd_;
};

/// Looks at a state that has no event to wait for until it is true, or `patience` is over; returns whether it became
/// true.
bool eventually(const std::function<bool()>& is_true, std::chrono::milliseconds patience = std::chrono::seconds(30));

/// Whether the process is there and neither dead nor waiting to be reaped.
bool is_running(pid_t pid);

}  // namespace mp::test
