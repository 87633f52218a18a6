// Chapter 1: one process counts the primes from 1 to 80000.
#include <cstdio>

#include "count_primes.hpp"

int main() {
    const int start_value = 1;
    const int end_value = 80000;

    const Stopwatch stopwatch;
    const int count_of_primes = count_primes_in_range(start_value, end_value);

    std::printf("Count of primes from %d to %d is: %d\n", start_value, end_value, count_of_primes);
    stopwatch.print();
}
