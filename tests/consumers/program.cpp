// A user's program: it must compile, link and run with nothing but what the package says. The README's program, and one of
// each other way to have a function run elsewhere.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>
#include <string>
#include <vector>

static_assert(MP_VERSION >= 100);

int square(int x) { return x * x; }

void say(const std::string& text) { std::printf("%s\n", text.c_str()); }

int main() {
    mp::Pool pool;
    for (int y : pool.map(square, std::vector{1, 2, 3})) std::printf("%d\n", y);
    std::fflush(stdout);

    mp::Process process(say, std::string("in a process"));
    process.start();
    process.join();
    if (process.exitcode() != 0) return 1;

    int k = 4;
    std::printf("%d\n", pool.submit([k](int x) { return k * x; }, 2).get());
}
