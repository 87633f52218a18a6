// Whether a pool may begin work on more than one worker while memory is short. The decision is pure: readings come in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace mp::pool {

struct MemoryReading {
    std::uint64_t available = 0;  // bytes that can still be taken
    std::optional<double>
        pressure{};  // percent of the last 10 s in which something waited for memory, where that is told
};

class Admission {
  public:
    Admission() = default;
    /// `available`: when the pool starts. A machine, or a group, that never has much is not short of memory for that.
    explicit Admission(std::uint64_t available) : low_(std::min<std::uint64_t>(256 << 20, available / 8)) {}

    bool open() const { return open_; }
    /// Closes when little is left, or less is left and much time is lost over it. Opens when twice as much is there, so
    /// that it does not flutter.
    bool look(const MemoryReading& reading) {
        const double pressure = reading.pressure.value_or(0);
        if (open_) {
            open_ = reading.available >= low_ && (pressure < 40 || reading.available >= 4 * low_);
        } else {
            open_ = reading.available >= 2 * low_ && (pressure < 10 || reading.available >= 8 * low_);
        }
        return open_;
    }
    /// Nothing waits: what comes next begins as ever.
    void reset() { open_ = true; }

  private:
    std::uint64_t low_ = 0;
    bool open_ = true;
};

/// How it stands now. Some tens of microseconds.
MemoryReading read_memory();
/// Has read_memory() ask this instead of the system; null: the system again. For tests.
void replace_memory_reader(MemoryReading (*reader)());

}  // namespace mp::pool
