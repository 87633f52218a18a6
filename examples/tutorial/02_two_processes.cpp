// Chapter 2: two processes count one half each. They work side by side, but what they find stays with them.
#include <multiprocessing/process.hpp>

#include <cstdio>

#include "count_primes.hpp"

void count_primes_and_tell(int start_value, int end_value) {
    const int count_of_primes = count_primes_in_range(start_value, end_value);
    std::puts(message_of_worker(count_of_primes, start_value, end_value).c_str());
}

int main() {
    const Stopwatch stopwatch;
    mp::Process worker1(count_primes_and_tell, 1, 40000);
    mp::Process worker2(count_primes_and_tell, 40001, 80000);

    std::puts("start processing...");
    worker1.start();
    worker2.start();

    worker1.join();  // waits until it is done
    std::puts("worker 1: done!");
    worker2.join();
    std::puts("worker 2: done!");

    worker1.close();
    worker2.close();
    stopwatch.print();
}
