// What all chapters share: the work, and a stopwatch.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

inline bool is_prime_number(int value) {
    if (value < 2) return false;
    for (int divisor = 2; divisor < value; ++divisor)
        if (value % divisor == 0) return false;
    return true;
}

// Both bounds included.
inline int count_primes_in_range(int start_value, int end_value) {
    int count_of_primes = 0;
    for (int value = start_value; value <= end_value; ++value)
        if (is_prime_number(value)) ++count_of_primes;
    return count_of_primes;
}

inline std::string message_of_worker(int count_of_primes, int start_value, int end_value) {
    return "Worker (ID: " + std::to_string(::getpid()) + ") found " + std::to_string(count_of_primes) +
           " primes from " + std::to_string(start_value) + " to " + std::to_string(end_value);
}

class Stopwatch {
  public:
    void print() const {
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin_;
        std::printf("Processing time: %.3f seconds\n", time.count());
    }

  private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};
