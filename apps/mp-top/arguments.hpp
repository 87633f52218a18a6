// The command line.
#pragma once

#include <sys/types.h>

#include <string>
#include <variant>
#include <vector>

namespace top {

enum class Order { worker, cpu, memory, tasks, time };

struct Arguments {
    pid_t pid = 0;  ///< show the pools of this process only; 0: all
    double interval = 1;
    Order order = Order::worker;
    bool once = false;
    bool json = false;
};

/// What to print instead: help on stdout with code 0, or one sentence on stderr with code 2.
struct Exit {
    int code;
    std::string text;
};

/// `words` are the arguments without the program's name.
std::variant<Arguments, Exit> parse_arguments(const std::vector<std::string>& words);

/// `worker`, `cpu`, …
std::string name_of(Order order);
/// The one after it, and after the last the first.
Order next(Order order);

}  // namespace top
