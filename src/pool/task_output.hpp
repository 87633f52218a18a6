// What a task prints, in the worker: out of the buffers before its result is.
#pragma once

#include <cstdint>

namespace mp::pool {

class TaskOutput {
  public:
    /// `relayed`: standard output and error go to an OutputRelay. `tagged`: it wants to know whose lines they are.
    TaskOutput(bool relayed, bool tagged);

    /// Writes out what waits in the buffers of stdio and iostreams. Whether anything was written by these since the last
    /// call, so that the caller should look at the pipes before it shows the result. Some loads when nothing was.
    bool flush() {
        return relayed_ && flush_streams();
    }

    /// What is printed from here on belongs to this frame, and this element when it is none of a task. Does nothing
    /// unless tagged.
    void begins(std::uint64_t frame, std::uint64_t element) {
        if (tagged_) write_mark(frame, element);
    }
    bool tagged() const { return tagged_; }

  private:
    bool flush_streams();
    static void write_mark(std::uint64_t frame, std::uint64_t element);

    bool relayed_;
    bool tagged_;
    long long written_ = 0;  // by stdio, when flush() looked last
};

}  // namespace mp::pool
