// Ends while its pools live: in globals, static and leaked ones, with tasks that run and tasks that wait.
//
//     leaves_pools METHOD return|exit|quick_exit|_exit|thread_exit|throw|abort
#include <multiprocessing/pool.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>

std::optional<mp::Pool> in_a_global;

int doubled(int x) { return 2 * x; }
int slow(int x) {
    ::usleep(20'000);
    return x;
}

mp::PoolOptions options(std::string_view method) {
    mp::PoolOptions result;
    result.workers = 2;
    for (const auto each : mp::get_all_start_methods())
        if (mp::to_string(each) == method) result.start_method = each;
    return result;
}

void use(mp::Pool& pool) {
    if (pool.apply(doubled, 4) != 8) std::abort();
    for (int i = 0; i < 6; ++i) static_cast<void>(pool.submit(slow, i));
}

int main(int, char** arguments) {
    const auto given = options(arguments[1]);
    const std::string_view way = arguments[2];
    // Before there is any thread, for the sake of fork.
    in_a_global.emplace(given);
    use(*in_a_global);
    if (given.start_method != mp::StartMethod::fork) {
        static mp::Pool in_a_static(given);
        use(in_a_static);
        auto* leaked = new mp::Pool(given);
        use(*leaked);
    }
    std::puts("used");
    std::fflush(stdout);
    if (way == "exit") std::exit(3);
    if (way == "quick_exit") std::quick_exit(3);
    if (way == "_exit") ::_exit(3);
    if (way == "thread_exit") std::thread([] { std::exit(3); }).join();
    if (way == "throw") throw std::runtime_error("as told");
    if (way == "abort") std::abort();
    return 3;
}
