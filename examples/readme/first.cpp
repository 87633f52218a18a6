#include <multiprocessing/multiprocessing.hpp>
#include <cstdio>

int square(int x) { return x * x; }

int main() {
    mp::Pool pool;                                        // mp::cpu_count() workers
    for (int y : pool.map(square, std::vector{1, 2, 3}))
        std::printf("%d\n", y);
}
