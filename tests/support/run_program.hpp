// Runs a program the way a user would, and looks at what it prints and how it ends.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mp::test {

using namespace std::chrono_literals;

struct ProgramOptions {
    std::string input = {};                     // its stdin, then end of file
    std::vector<std::string> environment = {};  // "NAME=value", added to the caller's
    std::string directory = {};                 // where it runs; empty: here
    bool keep_input_open = false;               // no end of file before close_input()
    std::chrono::milliseconds deadline = 60s;   // then it and its process group are killed
};

struct ProgramResult {
    int exit_code = 0;  // the exit status, or minus the signal that ended it
    std::string out;
    std::string err;
    bool timed_out = false;
    std::chrono::nanoseconds duration{};
};

/// A running program. It leads a process group of its own; if it still runs at the deadline or in the destructor, the
/// group is killed. What leaves the group on purpose is not followed. One thread at a time.
class RunningProgram {
  public:
    /// Starts `command[0]` (searched in PATH). A program that cannot be started ends at once with exit code 127 and
    /// the reason in `err`.
    explicit RunningProgram(std::vector<std::string> command, ProgramOptions options = {});
    RunningProgram(const RunningProgram&) = delete;
    ~RunningProgram();

    pid_t pid() const { return pid_; }
    void signal(int number);
    void write(std::string_view text);
    void close_input();

    /// Waits until stdout (or stderr) holds `text`; false when the program closed it or the deadline came first.
    bool wait_for_out(std::string_view text);
    bool wait_for_err(std::string_view text);

    /// Waits for its end, at the latest the deadline, and for the end of its output. A background process that
    /// outlives it does not hold this up for more than a second.
    ProgramResult finish();

  private:
    bool wait_for(const std::string& stream, std::string_view text);
    bool pump(std::chrono::steady_clock::time_point limit);
    bool reap(bool wait);
    void kill_group();

    pid_t pid_ = -1;
    int in_ = -1, out_ = -1, err_ = -1;
    std::string input_;
    bool close_when_written_;
    std::chrono::steady_clock::time_point started_, limit_;
    std::optional<int> status_;
    ProgramResult result_;
};

/// Starts, waits, and returns what happened.
ProgramResult run_program(std::vector<std::string> command, ProgramOptions options = {});

}  // namespace mp::test
