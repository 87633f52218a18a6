/// \file
/// Worker mode said in so many words, for programs where it does not come by itself.
#pragma once

#include <multiprocessing/export.hpp>

namespace mp {

/// Workers are copies of the program that go to work after its static initialisers, in place of `main`. The library
/// sees to that by itself when the program is linked with it; call this as the first thing in `main` where it
/// cannot: a program that gets the library only through another shared library, or linked in unusual ways. In a
/// worker it does not return; everywhere else, and where the library has seen to it already, it does nothing.
MP_EXPORT void init(int argc, char** argv);

}  // namespace mp
