#include "process/server.hpp"

#include <unistd.h>

namespace mp::process {

int run_marked_copy(Marker, int, char**) { ::_exit(0); }

}  // namespace mp::process
