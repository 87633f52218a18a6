// A user's program of one configuration: every way of having functions run in workers, through the public face alone.
#include <cstdio>
#include <string>
#include <vector>

#include <multiprocessing/pool.hpp>
#include <multiprocessing/process.hpp>

namespace {

int square(int x) { return x * x; }
void exit_with(int code) { std::exit(code); }
// The same code, so that a folding linker makes one of them.
int same_one(int x) { return x + 7; }
int same_two(int x) { return x + 7; }

const std::string initialised = std::to_string(4) + "2";

void check(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "FAILED: %s\n", what);
    std::exit(1);
}

}  // namespace

int main() try {
    const std::vector input{1, 2, 3};
    {
        mp::Pool pool(2);
        int k = 3;
        check(pool.map([k](int x) { return k * x; }, input) == std::vector{3, 6, 9}, "map of a lambda with a capture");
        check(pool.map(square, input) == std::vector{1, 4, 9}, "map of a function");
        check(pool.apply(same_one, 1) == 8 && pool.apply(same_two, 2) == 9, "functions with the same code");
        check(pool.submit([](std::string text) { return text + initialised; }, "x").get() == "x42", "submit");
        try {
            pool.apply([](int x) -> int { throw std::out_of_range("no " + std::to_string(x)); }, 5);
            check(false, "no exception");
        } catch (const std::out_of_range& error) {
            check(std::string(error.what()).find("no 5") != std::string::npos, "an exception's text");
        }
    }
    mp::Process process(exit_with, 5);
    process.start();
    process.join();
    check(process.exitcode() == 5, "a process");
    std::puts("the pool works");
} catch (const std::exception& error) {
    check(false, error.what());
}
