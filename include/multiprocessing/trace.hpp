/// \file
/// A picture of a run: what each worker of each pool did, and when.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>

#include <multiprocessing/export.hpp>

namespace mp::trace {

/// While it lives, what the pools of this process do is recorded; at its end that is written to a file.
///
///     mp::trace::Session session("run.html");
///
/// The end of the name says what is written. `.html`: a report, one page that opens in any browser without a network.
/// Anything else: trace-event JSON for Perfetto (ui.perfetto.dev) and chrome://tracing.
///
/// Memory is bounded: of very many tasks the shortest are shown together, while long ones, failed ones and crashed ones
/// stay exact. A task pays for being recorded with some nanoseconds; without a session, with one branch.
///
/// The file appears when it is complete, also when an exception ends the session. A process that dies leaves none.
/// In a fork of the process that made it, it does nothing.
class Session {
  public:
    /// Throws SystemError when a file there cannot be written, Error while another session records.
    MP_EXPORT explicit Session(std::filesystem::path file);
    /// Several files of one recording.
    MP_EXPORT Session(std::initializer_list<std::filesystem::path> files);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    /// finish(), but what goes wrong is told on standard error.
    MP_EXPORT ~Session();

    /// Ends the recording and writes. Throws SystemError when that fails. Further calls do nothing.
    MP_EXPORT void finish();

  private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace mp::trace
