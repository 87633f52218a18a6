// Started by start_test.cpp with all kinds of markers in its environment. Says "main" first, so that one can count how
// often a program gets there; then uses a pool:
//   start_program             prints the squares of 1, 2, 3
//   start_program environment prints what a program sees that a task starts
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <multiprocessing/init.hpp>
#include <multiprocessing/pool.hpp>

namespace {

int square(int x) { return x * x; }

std::string environment_of_a_program() {
    std::string text;
    std::FILE* const pipe = ::popen("env; ls -l /proc/self/fd", "r");
    char buffer[4096];
    while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, count);
    ::pclose(pipe);
    return text;
}

}  // namespace

[[gnu::visibility("default")]] int start_program(int argc, char** argv) try {
    const std::string_view wish = argc > 1 ? argv[1] : "";
    if (wish == "init") mp::init(argc, argv);
    std::puts("main");
    std::fflush(stdout);
    mp::Pool pool(2);
    if (wish == "environment") {
        std::fputs(pool.apply(environment_of_a_program).c_str(), stdout);
        return 0;
    }
    for (const int y : pool.map(square, std::vector{1, 2, 3})) std::printf("%d\n", y);
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 9;
}

#ifndef WITHOUT_MAIN
int main(int argc, char** argv) { return start_program(argc, argv); }
#endif
