// What a plugin offers to the program that loads it. Each is instantiated in the plugin: its functions and lambdas, and
// the code that runs them in a worker.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <multiprocessing/pool.hpp>
#include <multiprocessing/process.hpp>

namespace plugin {

/// A worker's pid and what it made of the input.
using Answer = std::pair<int, int>;

struct Interface {
    Answer (*submit_lambda)(mp::Pool& pool, int x);
    std::vector<Answer> (*map_function)(mp::Pool& pool, const std::vector<int>& inputs);
    std::vector<int> (*map_capture)(mp::Pool& pool, int offset, const std::vector<int>& inputs);
    int (*run_process)(int exit_code);
    int (*plain)(int x);  ///< only a pointer: the program makes a task of it
};

}  // namespace plugin
