// A user's program: it must compile, link and run with nothing but what the package says.
#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/version.hpp>

#include <cstdio>

static_assert(MP_VERSION >= 100);

int main() {
    std::printf("%u\n", mp::cpu_count());
    return mp::cpu_count() >= 1 ? 0 : 1;
}
