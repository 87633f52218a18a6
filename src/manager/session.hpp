// For whom the calling thread of a manager's server works.
#pragma once

#include <atomic>
#include <cstdint>

#include <multiprocessing/detail/served_sync.hpp>

namespace mp::manager {

/// One client process, as the server knows it.
struct ClientLife {
    std::atomic<bool> dead = false;  // set before anything that the client held is freed
};

/// A connection that a call came over; lives on the stack of its thread.
struct Session {
    detail::Caller caller;
    int socket = -1;
    const ClientLife* life = nullptr;
};

/// The session that this thread serves; null for other threads.
const Session* current_session();

/// Makes a session the thread's own while it lives; null: what runs is done for no client.
class ServeScope {
  public:
    explicit ServeScope(const Session* session);
    ServeScope(const ServeScope&) = delete;
    ServeScope& operator=(const ServeScope&) = delete;
    ~ServeScope();

  private:
    const Session* before_;
};

/// Whether the client of this thread's session is known to be dead: what it held is free, or about to be.
bool caller_is_dead();
/// Whether it is dead or has hung up.
bool caller_is_gone();

/// A number for the calling thread, for what belongs to a thread.
std::uint64_t thread_number();

}  // namespace mp::manager
