// Messages between a process and its fork server: fixed-width, one packet each, on a SOCK_SEQPACKET pair.
// The two ends are the same program, so there is no version; sizes are checked all the same.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "process/inheritance.hpp"

namespace mp::process::wire {

enum class Kind : std::uint32_t {
    serve,    // owner -> copy: be a fork server                        answered by `ready`
    run,      // server -> copy: be this one process (method spawn)      Spawn, as below; no answer
    handles,  // owner -> server: descriptors of the next `spawn` that one packet cannot hold
    forget,   // owner -> server: those descriptors will not be used
    spawn,    // owner -> server: start a process                        answered by `spawned`
              // owner -> spare, through a socket for orders: be this process    no answer: it begins
    offer,    // server -> owner, unasked: there is a spare
    taken,    // owner -> server: that one was given an order            no answer
    signal,   // owner -> server: signal one of its children (where there is no pidfd)
    ready,
    spawned,
};

/// With two descriptors: the sockets for the orders of spares.
struct Serve {
    Kind kind = Kind::serve;
    std::int32_t owner = 0;  // pid
};

struct Ready {
    Kind kind = Kind::ready;
    std::int32_t server = 0;  // pid; 0 when it could not be forked
    std::int32_t error = 0;   // errno
};

/// Followed by `boot_size` bytes of an encoded Boot, unless these are in a memory file.
struct Spawn {
    enum Flags : std::uint32_t {
        boot_in_file = 1,
        has_output = 2,
        has_error = 4,
        execute = 8,    // method spawn
        only = 16,      // no other will follow: the server lets go of everything else, and ends after this process
        or_spare = 32,  // while there is a spare the answer is to give the order to that one
    };
    Kind kind = Kind::spawn;
    std::uint32_t flags = 0;
    std::uint64_t boot_size = 0;
    std::uint64_t handle_count = 0;  // all of them, those sent before included
    std::uint64_t spare = 0;         // to a spare: its number; the order of one that has ended is nobody's
    // Descriptors: status (to the server only), lifeline and report (not to a spare, which has them), directory,
    // [output], [error], [boot file], handles
};

struct Signal {
    Kind kind = Kind::signal;
    std::int32_t pid = 0;
    std::int32_t signal = 0;
};

/// With a pidfd as descriptor where the kernel has them.
struct Spawned {
    Kind kind = Kind::spawned;
    std::int32_t pid = 0;    // 0 when it failed, or when there is a spare
    std::int32_t error = 0;  // errno; 0 when there is a spare
};

/// With its status, lifeline and report as descriptors, and a pidfd where the kernel has them.
struct Offer {
    Kind kind = Kind::offer;
    std::int32_t pid = 0;
    std::uint64_t number = 0;  // its own: that of no other spare of this server
    std::uint64_t place = 0;   // which of the sockets for orders it waits at
    Inheritance inheritance;   // what it was forked with
};

struct Taken {
    Kind kind = Kind::taken;
    std::int32_t pid = 0;
};

/// What the server writes into the status pipe of a process that has ended: twice, in one write, so that the pipe stays
/// readable - the owner's sentinel - when the owner has read it.
struct Status {
    std::int32_t code = 0;    // CLD_EXITED, CLD_KILLED or CLD_DUMPED
    std::int32_t status = 0;  // exit code or signal
    std::int64_t user_us = 0;
    std::int64_t system_us = 0;
    std::int64_t max_rss = 0;  // bytes
};

inline constexpr std::size_t max_packet = 60 * 1024;
inline constexpr std::size_t max_inline_boot = 32 * 1024;
inline constexpr std::size_t max_handles = 200;  // in one packet

}  // namespace mp::process::wire
