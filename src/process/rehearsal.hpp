// The steps of a new process, taken where they matter to nobody.
#pragma once

#include <ext/stdio_sync_filebuf.h>
#include <unistd.h>

#include <cstdint>
#include <ostream>
#include <span>
#include <vector>

#include "os/build_id.hpp"
#include "process/order.hpp"

namespace mp::process {

/// Made by a fork server before its first spare, so that what is found out and bound once need not be by each of them.
class Rehearsal {
  public:
    explicit Rehearsal(Packet& packet);
    Rehearsal(const Rehearsal&) = delete;

    /// Takes the steps that cost most the first time after a fork, when every page that is written is copied and every
    /// piece of code that is run is mapped anew: the process then has its order in `packet` and is at its end sooner.
    /// Changes nothing that the process, or anybody else, could see. Throws std::bad_alloc.
    void perform(Packet& packet);

  private:
    // Nobody's streams, flushed as the standard ones are when a program ends. Like std::cerr, the second makes the
    // library call its own flush.
    template <class Char>
    struct Streams {
        Streams() {
            second.tie(&first);
            second.setf(std::ios_base::unitbuf);
        }
        __gnu_cxx::stdio_sync_filebuf<Char> buffer{stdout};
        std::basic_ostream<Char> first{&buffer}, second{&buffer};
    };

    std::vector<std::byte> boot_;  // an order of the usual size
    Streams<char> narrow_;
    Streams<wchar_t> wide_;
    os::BuildId build_id_{};                     // of the program or library that this code is in
    std::vector<const volatile char*> endings_;  // where the last steps of the program and of each library are
    std::vector<char*> marks_;                   // what these write
    const std::uintptr_t page_size_ = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
};

}  // namespace mp::process
