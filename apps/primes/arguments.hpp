// The command line.
#pragma once

#include <multiprocessing/context.hpp>

#include <string>
#include <variant>
#include <vector>

#include "primes/plan.hpp"

namespace primes {

enum class Mode { serial, process, shared, pool, own };

std::string name_of(Mode mode);

struct Arguments {
    Job job;
    Mode mode = Mode::pool;
    mp::StartMethod start_method = mp::StartMethod::forkserver;
    unsigned crash_worker = 0;  ///< 1 for the first; 0: none
    bool compare = false;
    bool frequency = false;  ///< then job.parts is their number
    std::string svg;
    std::string report;  ///< files that show the run; empty: none
    std::string trace;
    bool json = false;
    bool quiet = false;
    bool progress = true;
};

/// What to print instead of counting: help on stdout with code 0, or one sentence on stderr with code 2.
struct Exit {
    int code = 0;
    std::string text;
};

/// `words` without the program's name; `cpus` is the default number of workers.
std::variant<Arguments, Exit> parse_arguments(const std::vector<std::string>& words, unsigned cpus);

}  // namespace primes
