// Chapter 3: the two workers add to a shared value and put their messages into a queue.
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <cstdio>
#include <string>

#include "count_primes.hpp"

void count_primes_with_shared_variables(int start_value, int end_value, mp::Value<int> shared_value,
                                        mp::Queue<std::string> message_queue) {
    const int count_of_primes = count_primes_in_range(start_value, end_value);
    shared_value += count_of_primes;  // atomic: no other worker's addition is lost
    message_queue.put(message_of_worker(count_of_primes, start_value, end_value));
}

int main() {
    mp::Value<int> shared_value(0);
    mp::Queue<std::string> message_queue;

    const Stopwatch stopwatch;
    mp::Process worker1(count_primes_with_shared_variables, 1, 40000, shared_value, message_queue);
    mp::Process worker2(count_primes_with_shared_variables, 40001, 80000, shared_value, message_queue);
    worker1.start();
    worker2.start();
    worker1.join();
    worker2.join();
    worker1.close();
    worker2.close();

    std::printf("Number of primes from 1 to 80000 is: %d\n", shared_value.load());
    std::puts("The workers stated the following messages:");
    while (!message_queue.empty()) std::puts(message_queue.get().c_str());
    message_queue.close();
    stopwatch.print();
}
