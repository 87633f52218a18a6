// Chapter 5: a pool does all of that by itself, and brings the results back.
#include <multiprocessing/cpu_count.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/range.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "count_primes.hpp"

std::pair<int, std::string> count_primes(int start_value, int end_value) {
    const int count_of_primes = count_primes_in_range(start_value, end_value);
    return {count_of_primes, message_of_worker(count_of_primes, start_value, end_value)};
}

// Says how many workers there shall be; without an argument as many as this process has CPUs.
int main(int argc, char** argv) {
    const int number_of_workers = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(mp::cpu_count());
    std::printf("number of workers: %d\n", number_of_workers);

    std::vector<std::pair<int, int>> tasks;
    for (auto task : mp::split(mp::range(1, 80001), number_of_workers)) tasks.emplace_back(task.front(), task.back());

    const Stopwatch stopwatch;
    mp::Pool worker_pool(number_of_workers);
    const auto results = worker_pool.starmap(count_primes, tasks);

    int number_of_primes = 0;
    for (const auto& [count_of_primes, message] : results) {
        std::puts(message.c_str());
        number_of_primes += count_of_primes;
    }
    std::printf("Number of primes from 1 to 80000 is: %d\n", number_of_primes);
    stopwatch.print();
}
