// Compiled several times, with another PLUGIN_FACTOR each: builds of one plugin, and a library that the program links.
#include "plugins/plugin.hpp"

#include <unistd.h>

#include <cstdlib>

namespace {

plugin::Answer multiply(int x) { return {::getpid(), PLUGIN_FACTOR * x}; }
int plain(int x) { return PLUGIN_FACTOR * x; }
void exit_with(int code) { std::exit(code + PLUGIN_FACTOR); }

plugin::Answer submit_lambda(mp::Pool& pool, int x) {
    return pool.submit([](int y) { return plugin::Answer(::getpid(), PLUGIN_FACTOR * y); }, x).get();
}

std::vector<plugin::Answer> map_function(mp::Pool& pool, const std::vector<int>& inputs) {
    return pool.map(multiply, inputs);
}

std::vector<int> map_capture(mp::Pool& pool, int offset, const std::vector<int>& inputs) {
    return pool.map([offset](int x) { return PLUGIN_FACTOR * x + offset; }, inputs);
}

int run_process(int exit_code) {
    mp::Process process(exit_with, exit_code);
    process.start();
    process.join();
    return process.exitcode().value_or(-1000);
}

}  // namespace

extern "C" [[gnu::visibility("default")]] const plugin::Interface PLUGIN_NAME;
extern "C" constexpr plugin::Interface PLUGIN_NAME{submit_lambda, map_function, map_capture, run_process, plain};
