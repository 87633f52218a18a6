// The progress bar.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace primes {

/// `[#####     ]  52 %  ETA 0:12  4203 primes so far`, at most `columns` wide.
std::string progress_line(double fraction, double elapsed_seconds, std::uint64_t count, unsigned columns);

/// `0:07`, `12:05`, `3:00:00`, `2 d 03:00`.
std::string duration_text(double seconds);

/// Draws on stderr, at most every tenth of a second, and clears up behind itself. Does nothing when stderr is not a
/// terminal.
class Progress {
  public:
    /// `total` is the cost of the whole.
    Progress(bool wanted, double total);
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void update(double done, std::uint64_t count);
    void clear();

  private:
    using Clock = std::chrono::steady_clock;

    bool visible_;
    bool drawn_ = false;
    double total_;
    Clock::time_point begin_ = Clock::now();
    Clock::time_point next_ = begin_;
    std::string last_;
};

}  // namespace primes
