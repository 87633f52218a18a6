// Pi by throwing darts: the same digits whatever the number of workers.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>
#include <cstdlib>
#include <functional>

constexpr int darts_a_task = 10'000;

// How many of the darts fall into the quarter of a circle.
long hits(int /*task*/) {
    long inside = 0;
    mp::TaskRng& random = mp::task_rng();
    for (int i = 0; i < darts_a_task; ++i) {
        const double x = random.uniform(), y = random.uniform();
        if (x * x + y * y < 1) ++inside;
    }
    return inside;
}

int main(int argc, char** argv) {
    mp::PoolOptions options;
    options.seed = 2024;
    if (argc > 1) options.workers = std::atoi(argv[1]);
    mp::Pool pool(options);
    const int tasks = 1'000;
    const long inside = pool.reduce(hits, std::plus<>{}, 0L, mp::range(0, tasks));
    std::printf("pi is about %.6f\n", 4.0 * static_cast<double>(inside) / (static_cast<double>(tasks) * darts_a_task));
}
