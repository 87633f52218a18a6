// How a copy of the program that was exec'ed to serve as a worker server knows that it is one, and gets there without
// passing through the user's main.
//
// The parent execs the program's own file with one environment entry that names an inherited descriptor: one end of a
// socket pair whose other end the parent keeps. The copy runs its static initialisers and then, instead of main,
// run_marked_copy() (server.hpp). Three ways lead there; see docs/design/worker-mode.md:
//   start_hook.cpp         dynamic programs: the library's own __libc_start_main
//   start_hook_static.cpp  programs linked with -static: -Wl,--wrap=main
//   mp::init(argc, argv)   said by the user where neither works
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include <multiprocessing/export.hpp>

namespace mp::process {

struct Marker {
    int socket = -1;   ///< AF_UNIX SOCK_SEQPACKET, its other end held by `parent`; close-on-exec
    pid_t parent = 0;  ///< the process that exec'ed this copy
};

/// The environment entry "MULTIPROCESSING_WORKER=..." for an exec'ed copy whose control socket is descriptor `fd` *in
/// the copy*: one end of a socketpair(2) made by the process whose child the copy is.
MP_EXPORT std::string marker_entry(int fd);

/// Reads the marker and removes it from the environment, so that no program started from here inherits it. Asked a
/// second time it returns the same. A marker whose descriptor is not such a socket (a stray variable) counts as none. When
/// the parent has died already the process ends here, quietly, with status 0.
/// Async-signal-safe apart from the change of the environment; usable before any static initialiser.
MP_EXPORT std::optional<Marker> take_marker();

enum class Role {
    program,           ///< started by a user; or a copy that arrived in run_marked_copy, and what it forked
    copy_before_main,  ///< a marked copy whose static initialisers are running
    copy_in_main,      ///< a marked copy that has reached the user's main: it would do the user's work once more
};
MP_EXPORT Role role();

/// For everything that starts processes: throws mp::Error with an explanation in a marked copy that is not diverted,
/// which would start copies in its turn, and they in theirs.
MP_EXPORT void require_not_runaway_copy();

/// For the hooks: static initialisers are still to run, and after them divert() will be called.
void hook_in_place();

/// For the hooks, when static initialisers are done: the exit code of run_marked_copy in a marked copy; none in a program.
MP_EXPORT std::optional<int> divert(int argc, char** argv);

}  // namespace mp::process
