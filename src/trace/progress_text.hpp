// What a progress display says: pure functions of a snapshot and the width of the terminal.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <multiprocessing/progress.hpp>

namespace mp::trace {

/// `[#####     ]  52 %  4.1 k/s  ETA 0:12  2 failed`, at most `columns` wide. With less room the bar goes first, then
/// what stands to the right. Without a total: `4 096 done  4.1 k/s  0:12  2 failed`.
std::string progress_line(const Progress& progress, std::size_t columns);

/// The same and a line for each worker: `  3  working   parse(#7)  1.2 s`. When there are more workers than `lines`
/// allow, the last line counts those left out.
std::vector<std::string> progress_lines(const Progress& progress, std::size_t columns, std::size_t lines);

/// For files and pipes: `52 % (4 096 of 8 192), 4.1 k/s, ETA 0:12, 2 failed`.
std::string progress_sentence(const Progress& progress);

/// How fast it goes of late: older measurements count the less.
class RateMeter {
  public:
    /// `done` after `seconds`, which only grow.
    void look(double done, double seconds);
    double a_second() const { return rate_; }

  private:
    double done_ = 0, seconds_ = 0, rate_ = 0;
    bool any_ = false;
};

}  // namespace mp::trace
