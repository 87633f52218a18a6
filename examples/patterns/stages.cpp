// Producer and consumer in stages: each stage closes the next queue when its own has run dry. The queues are bounded,
// so that a fast stage waits for a slow one instead of filling memory.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>

void produce(mp::Queue<int> out, int count) {
    for (int i = 1; i <= count; ++i) out.put(i);
    out.close();
}

void keep_odd(mp::Queue<int> in, mp::Queue<int> out) {
    for (const int number : in)
        if (number % 2 != 0) out.put(number);
    out.close();
}

void cube(mp::Queue<int> in, mp::Queue<long> out) {
    for (const long number : in) out.put(number * number * number);
    out.close();
}

int main() {
    mp::Queue<int> numbers(4), odd(4);
    mp::Queue<long> cubes(4);
    mp::Process first(produce, numbers, 100), second(keep_odd, numbers, odd), third(cube, odd, cubes);
    for (mp::Process* stage : {&first, &second, &third}) stage->start();
    long sum = 0;
    for (const long value : cubes) sum += value;
    std::printf("sum of the odd cubes up to 100: %ld\n", sum);
}
