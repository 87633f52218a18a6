// Start and join of one process beside a caller with much memory: ours by each method, fork and posix_spawn by hand.
//
//     bench_process_start [GiB of the caller's memory, default 1] [rounds, default 40]
//
// All ways take turns in one run, so that the machine's moods hit them alike. Prints median, spread and the ratio to
// the forkserver's median.
#include <multiprocessing/process.hpp>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace {

void nothing() {}

void start_and_join(mp::StartMethod method) {
    mp::Process process({.start_method = method}, nothing);
    process.start();
    process.join();
}

void wait_for(pid_t pid) {
    int how = 0;
    if (pid <= 0 || ::waitpid(pid, &how, 0) != pid) std::abort();
}

void fork_by_hand() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    wait_for(pid);
}

void spawn_by_hand() {
    std::string program = "/bin/true";
    char* const arguments[] = {program.data(), nullptr};
    pid_t pid = 0;
    if (::posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environ) != 0) std::abort();
    wait_for(pid);
}

struct Way {
    const char* name;
    std::function<void()> run;
    std::vector<double> milliseconds{};
};

}  // namespace

int main(int argc, char** argv) {
    const double gib = argc > 1 ? std::atof(argv[1]) : 1.0;
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 40;
    // Touched page by page, as a program's data is.
    std::vector<char> memory(static_cast<std::size_t>(gib * 1024 * 1024 * 1024), 'x');

    std::vector<Way> ways{{"forkserver", [] { start_and_join(mp::StartMethod::forkserver); }},
                          {"spawn", [] { start_and_join(mp::StartMethod::spawn); }},
                          {"fork", [] { start_and_join(mp::StartMethod::fork); }},
                          {"fork(2), waitpid", fork_by_hand},
                          {"posix_spawn of true", spawn_by_hand}};
    const auto begin = std::chrono::steady_clock::now();
    start_and_join(mp::StartMethod::forkserver);
    const auto first = std::chrono::steady_clock::now() - begin;
    for (int round = 0; round < rounds; ++round) {
        for (Way& way : ways) {
            const auto start = std::chrono::steady_clock::now();
            way.run();
            const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
            way.milliseconds.push_back(time.count());
        }
    }
    std::printf("caller of %.2f GiB, %d rounds; first start, with the server's: %.2f ms\n", gib, rounds,
                std::chrono::duration<double, std::milli>(first).count());
    std::printf("%-22s %10s %10s %10s %8s\n", "start and join", "median ms", "10 %", "90 %", "ratio");
    double reference = 0;
    for (Way& way : ways) {
        auto& times = way.milliseconds;
        std::sort(times.begin(), times.end());
        const double median = times[times.size() / 2];
        if (reference == 0) reference = median;
        std::printf("%-22s %10.3f %10.3f %10.3f %8.2f\n", way.name, median, times[times.size() / 10],
                    times[times.size() * 9 / 10], median / reference);
    }
    static_cast<void>(memory.data());
}
