// Has processes of every kind, with grandchildren that left its session, until it is killed. Prints `ready` for each.
#include <multiprocessing/process.hpp>

#include <unistd.h>

#include <cstdio>
#include <vector>

void sit() {
    std::puts("ready");
    std::fflush(stdout);
    for (;;) ::pause();
}
void have_grandchild() {
    if (::fork() == 0) {
        ::setsid();
        sit();
    }
    sit();
}
void nest(mp::StartMethod method) {
    mp::Process inner({.start_method = method}, have_grandchild);
    inner.start();
    sit();
}

int main() {
    std::vector<mp::Process> processes;
    for (const auto method : mp::get_all_start_methods()) {
        processes.emplace_back(mp::ProcessOptions{.start_method = method}, have_grandchild);
        processes.back().start();
        processes.emplace_back(mp::ProcessOptions{.start_method = method}, nest, method);
        processes.back().start();
    }
    sit();
}
