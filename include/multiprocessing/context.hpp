/// \file
/// How new processes come into being.
#pragma once

#include <iosfwd>
#include <string_view>
#include <vector>

#include <multiprocessing/export.hpp>

namespace mp {

/// How a new process is made.
enum class StartMethod {
    /// Forked from a clean, single-threaded copy of the program that is kept for this purpose: static initialisers have
    /// run, `main` has not. About 0.1 ms whatever the size of the caller; safe beside threads. The default.
    forkserver,
    /// A snapshot of the caller at this moment: sees all of its memory, copy-on-write. Refused with UnsafeFork while
    /// the caller has other threads. Takes about 7 ms for each GiB of the caller's memory.
    fork,
    /// A copy of the program executed anew for each process: the cleanest and the slowest, 1–2 ms.
    spawn,
};

/// `forkserver`, `fork` or `spawn`.
MP_EXPORT std::string_view to_string(StartMethod method);
/// Writes `forkserver`, `fork` or `spawn`.
MP_EXPORT std::ostream& operator<<(std::ostream& out, StartMethod method);

/// What is used where an option does not say otherwise.
MP_EXPORT StartMethod get_start_method();
/// Changes it for what is started from now on, here and in processes started from here. Any thread.
MP_EXPORT void set_start_method(StartMethod method);
/// All of them, the default first.
MP_EXPORT std::vector<StartMethod> get_all_start_methods();

}  // namespace mp
