// Threads that the library starts.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <multiprocessing/errors.hpp>

namespace mp::os {

/// Starts a thread; throws SystemError when the system refuses. `operation` as there: `cannot start a thread of pool
/// "x"`.
template <class Body>
std::thread start_thread(const std::string& operation, Body&& body) {
    try {
        return std::thread(std::forward<Body>(body));
    } catch (const std::system_error& error) {
        throw SystemError(error.code(), operation);
    }
}

/// The same, and the thread gets no signals: those are for the program's own threads.
template <class Body>
std::thread start_library_thread(const std::string& operation, Body&& body) {
    struct BlockedSignals {
        BlockedSignals() {
            sigset_t all;
            ::sigfillset(&all);
            ::pthread_sigmask(SIG_SETMASK, &all, &before);
        }
        ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }
        BlockedSignals(const BlockedSignals&) = delete;
        BlockedSignals& operator=(const BlockedSignals&) = delete;
        sigset_t before{};
    };
    const BlockedSignals blocked;
    return start_thread(operation, std::forward<Body>(body));
}

}  // namespace mp::os
