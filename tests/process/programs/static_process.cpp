// A static initialiser starts a process, which each copy of the program would do again.
#include <multiprocessing/process.hpp>

#include <iostream>

void work() { std::cout << "worked" << std::endl; }

struct Starts {
    Starts() {
        try {
            mp::Process process(work);
            process.start();
            process.join();
            std::cout << "started" << std::endl;
        } catch (const mp::Error& error) {
            std::cerr << "refused: " << error.what() << std::endl;
        }
    }
} starts;

int main() { std::cout << "main" << std::endl; }
