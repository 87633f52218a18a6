// The steps of a new process, taken where they matter to nobody.
#pragma once

#include "process/order.hpp"

namespace mp::process {

/// Takes those that cost most the first time after a fork, when every page that is written is copied and every piece of
/// code that is run is mapped anew: the process then has its order in `packet` and is at its end sooner. Changes
/// nothing that the process, or anybody else, could see.
void rehearse(Packet& packet);

}  // namespace mp::process
