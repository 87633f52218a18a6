// Chapter 4: any number of workers, each with its part of the range, in a loop.
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/range.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <cstdio>
#include <string>
#include <vector>

#include "count_primes.hpp"

void count_primes_with_shared_variables(int start_value, int end_value, mp::Value<int> shared_value,
                                        mp::Queue<std::string> message_queue) {
    const int count_of_primes = count_primes_in_range(start_value, end_value);
    shared_value += count_of_primes;
    message_queue.put(message_of_worker(count_of_primes, start_value, end_value));
}

int main() {
    const int start_value = 1;
    const int end_value = 80000;
    const int number_of_workers = 4;

    mp::Value<int> shared_value(0);
    mp::Queue<std::string> message_queue;

    const Stopwatch stopwatch;
    std::vector<mp::Process> workers;
    for (auto task : mp::split(mp::range(start_value, end_value + 1), number_of_workers))
        workers.emplace_back(count_primes_with_shared_variables, task.front(), task.back(), shared_value,
                             message_queue);

    for (auto& worker : workers) worker.start();
    for (auto& worker : workers) {
        worker.join();
        worker.close();
    }

    std::printf("Number of primes from %d to %d is: %d\n", start_value, end_value, shared_value.load());
    while (!message_queue.empty()) std::puts(message_queue.get().c_str());
    stopwatch.print();
}
