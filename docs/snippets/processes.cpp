// The pieces of docs/guide/processes.md.
#include <multiprocessing/multiprocessing.hpp>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

void greet(const std::string& name) { std::printf("hello %s\n", name.c_str()); }

void start_and_join() {
    mp::Process process(greet, "world");
    process.start();
    process.join();
    std::printf("exit code %d\n", *process.exitcode());
}

void fail() { throw std::invalid_argument("no such file"); }

void see_errors() {
    mp::Process process(fail);
    process.start();
    process.join();
    if (const auto error = process.error()) std::printf("it threw: %s\n", error->what());
}

void ask_to_stop() {
    mp::Process process([] {
        while (!mp::stop_token().wait_for(1h)) {
        }
        std::puts("stopped in order");
    });
    process.start();
    process.request_stop();
    process.join();
}

void closures() {
    std::string text = "as it was at start()";
    mp::Process process([&] { std::printf("%s\n", text.c_str()); });
    process.start();
    text = "changed since";
    process.join();
}

int main() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines of parent and child in the order of their making
    start_and_join();
    see_errors();
    ask_to_stop();
    closures();
}
// Prints:
// hello world
// exit code 0
// it threw: no such file
// stopped in order
// as it was at start()
