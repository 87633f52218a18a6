// mp-top: the pools that run on this machine, live.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>
#include <variant>

#include "arguments.hpp"
#include "json.hpp"
#include "screen.hpp"
#include "text.hpp"

namespace top {
namespace {

int print_once(const Arguments& arguments) {
    Watcher watcher;
    auto page = watcher.look(arguments.pid, arguments.order);
    if (!page.empty()) {
        // Rates need two looks.
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        page = watcher.look(arguments.pid, arguments.order);
    }
    std::string text;
    if (arguments.json) {
        text = json_text(page);
    } else {
        for (const Line& line : lines_of(page, 400)) text += line.text + '\n';
    }
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
        std::perror("mp-top: cannot write to standard output");
        return 1;
    }
    return 0;
}

int run(const std::vector<std::string>& words) {
    const auto parsed = parse_arguments(words);
    if (const auto* exit = std::get_if<Exit>(&parsed)) {
        std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
        return exit->code;
    }
    const auto& arguments = std::get<Arguments>(parsed);
    const bool live = !arguments.once && !arguments.json && ::isatty(STDOUT_FILENO) && ::isatty(STDIN_FILENO);
    return live ? watch(arguments) : print_once(arguments);
}

}  // namespace
}  // namespace top

int main(int argc, char** argv) {
    try {
        return top::run({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "mp-top: %s\n", error.what());
        return 1;
    }
}
