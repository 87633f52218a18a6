#include "pool/task_output.hpp"

#include <stdio_ext.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "pool/output_relay.hpp"

namespace mp::pool {

namespace {

// The C library counts the bytes that it writes to a stream in its note of the file's position, unless that is -1: "not
// known", as it is for a pipe. With a 0 instead it tells for nothing whether anything was printed, in both buffered and
// unbuffered streams. All that changes is what ftell() says of a pipe. fflush() - also that of std::cerr after each piece,
// and of std::endl - makes it "not known" again, so that this says that something may have been printed.
long long written_by_stdio() {
    return static_cast<long long>(stdout->_offset) + static_cast<long long>(stderr->_offset);
}

// True when a count was not known.
bool begin_to_count() {
    bool unknown = false;
    for (FILE* stream : {stdout, stderr}) {
        if (stream->_offset >= 0) continue;
        stream->_offset = 0;
        unknown = true;
    }
    return unknown;
}

// A stream buffer's pending characters. Those of cout and its kin have none of their own while they share stdio's.
struct Peek : std::streambuf {
    static bool pending(std::streambuf* buffer) {
        return buffer && (buffer->*&Peek::pptr)() != (buffer->*&Peek::pbase)();
    }
    // Whether it has a buffer of its own, whose writes stdio does not see.
    static bool own(std::streambuf* buffer) { return buffer && (buffer->*&Peek::epptr)() != nullptr; }
};

}  // namespace

TaskOutput::TaskOutput(bool relayed, bool tagged) : relayed_(relayed), tagged_(relayed && tagged) {
    if (!relayed_) return;
    static_cast<void>(begin_to_count());
    written_ = written_by_stdio();
}

bool TaskOutput::flush_streams() {
    bool printed = false;
    for (std::ostream* stream : {&std::cout, &std::clog}) {
        printed = printed || Peek::own(stream->rdbuf());
        if (Peek::pending(stream->rdbuf())) stream->flush();
    }
    if (::__fpending(stdout) > 0) std::fflush(stdout);
    if (::__fpending(stderr) > 0) std::fflush(stderr);
    printed = begin_to_count() || printed;
    const auto written = written_by_stdio();
    printed = printed || written != written_;
    written_ = written;
    return printed;
}

void TaskOutput::write_mark(std::uint64_t frame, std::uint64_t element) {
    const auto text = frame_mark(frame, element);
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
        static_cast<void>(!::write(stream, text.data(), text.size()));
}

}  // namespace mp::pool
