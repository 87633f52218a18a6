// A static object owns a process that still runs when main returns: it is asked to stop and joined, without a trace.
#include <multiprocessing/process.hpp>

#include <chrono>
#include <iostream>

void until_told() {
    while (!mp::stop_token().wait_for(std::chrono::hours(1))) {}
    std::cout << "told" << std::endl;
}

mp::Process worker(until_told);

int main() {
    worker.start();
    std::cout << "main" << std::endl;
}
