// Prints how many arguments a process of each kind finds in its command line, and its last one.
#include <multiprocessing/process.hpp>

#include <fstream>
#include <iostream>
#include <iterator>

void tell() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    int count = 0;
    for (const char c : text) count += c == 0;
    const auto last = text.rfind('\0', text.size() - 2) + 1;
    std::cout << count << ' ' << text.substr(last, text.size() - last - 1) << std::endl;
}

int main() {
    for (const auto method : mp::get_all_start_methods()) {
        mp::Process process({.start_method = method}, tell);
        process.start();
        process.join();
    }
}
