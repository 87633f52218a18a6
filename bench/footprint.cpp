// What a pool that does nothing costs: memory of each worker, CPU time; and memory of each task that waits.
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/suite.hpp"
#include "peers/work.hpp"

namespace {

// The sum of the lines `<key>…: N kB` of a process's memory.
double kibibytes(pid_t pid, const std::string& key) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
    double sum = 0;
    for (std::string line; std::getline(in, line);)
        if (line.rfind(key, 0) == 0) sum += std::stod(line.substr(line.find(':') + 1));
    return sum;
}

// Time on a CPU so far, of all threads.
double cpu_seconds(pid_t pid) {
    clockid_t clock;
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
        throw std::runtime_error("cannot read a process's CPU time");
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double private_of_a_worker(mp::Pool& pool) {
    double sum = 0;
    const auto pids = pool.pids();
    for (const pid_t pid : pids) sum += kibibytes(pid, "Private_");
    return sum / static_cast<double>(pids.size());
}

// Percent of one CPU.
double idle_share(mp::Pool& pool) {
    auto all = pool.pids();
    all.push_back(::getpid());
    auto sum = [&] {
        double seconds = 0;
        for (const pid_t pid : all) seconds += cpu_seconds(pid);
        return seconds;
    };
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // whoever still spins goes to sleep
    const double before = sum();
    const auto begin = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    return 100 * (sum() - before) / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void wait_for(mp::Event gate) { gate.wait(); }

// Bytes of the caller's heap that are in use.
double heap_in_use() {
    const struct mallinfo2 heap = ::mallinfo2();
    return static_cast<double>(heap.uordblks + heap.hblkhd);
}

// For each task that waits behind one that does not end; its future included.
double bytes_of_a_waiting_task(int count) {
    mp::Event gate;
    mp::Pool pool(1);
    auto first = pool.submit(wait_for, gate);
    const double before = heap_in_use();
    std::vector<mp::Future<int>> futures;
    futures.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) futures.push_back(pool.submit(bench::empty, i));
    const double after = heap_in_use();
    gate.set();
    first.get();
    for (auto& future : futures) future.get();
    return (after - before) / count;
}

}  // namespace

int main(int argc, char** argv) {
    using bench::Better;
    bench::Suite suite("footprint", argc, argv);
    {
        mp::Pool pool(8);
        pool.map(bench::empty, mp::range(0, 1000));
        suite.run({.name = "private memory of a worker, idle after a map",
                   .unit = "KiB",
                   .better = Better::lower,
                   .ours = {"mp::Pool(8)", [&] { return private_of_a_worker(pool); }},
                   .target = 1024});
        suite.run({.name = "CPU time of an idle pool of 8 and its caller",
                   .unit = "% of one CPU",
                   .better = Better::lower,
                   .ours = {"mp::Pool(8)", [&] { return idle_share(pool); }},
                   .target = 0.05});
    }
    suite.run({.name = "memory of a task that waits",
               .unit = "bytes",
               .better = Better::lower,
               .ours = {"submit(f, int)", [] { return bytes_of_a_waiting_task(200'000); }}});
    return suite.finish();
}
