#include <multiprocessing/init.hpp>

#include <cstdlib>

#include "process/worker_mode.hpp"

namespace mp {

void init(int argc, char** argv) {
    if (const auto code = process::divert(argc, argv)) std::exit(*code);
}

}  // namespace mp
