// Makes one system call of this process fail, as the kernel may: `--wrap` of the linker leads those of the library
// here.
#pragma once

#include <optional>
#include <ostream>
#include <string>

namespace mp::test {

struct Fault {
    const char* call;
    /// What errno says; 0: it succeeds, but with one byte only of what was asked for.
    int error;
};
inline void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.call << ", errno " << fault.error; }

/// From here on the n-th such call of this process, by any thread, fails (n = 0: the next one). Once.
void arm(const Fault& fault, int n);
/// Each signalfd() fails with EMFILE, in this process and in those that it executes or forks while this lives.
class NoSignalFds {
  public:
    NoSignalFds();
    ~NoSignalFds();
};
/// No call fails any more; returns whether one did.
bool disarm();

}  // namespace mp::test
