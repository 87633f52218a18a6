// Programs as sides of a row: a peer in another language, or a whole program of ours.
#pragma once

#include <string>
#include <vector>

#include "driver/row.hpp"

namespace bench {

/// Runs it to its end with its output thrown away; throws when it does not end with 0.
void run_program(const std::vector<std::string>& words);

/// A side that is a script in bench/peers: it times itself, without its own start, and prints one JSON line
/// {"seconds": …} (for the whole work). `figure` turns the seconds into the row's unit.
Side script(std::string name, std::vector<std::string> words, std::function<double(double)> figure);

}  // namespace bench
