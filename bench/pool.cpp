// The pool beside its peers, alternately in one run: oneTBB, OpenMP and a plain thread pool.
//   bench_pool [rounds]
// Prints for each row the median of each side, the median of the ratios and their spread.
#include <omp.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

namespace {

using Clock = std::chrono::steady_clock;

double seconds(const std::function<void()>& work) {
    const auto begin = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Busy for about `nanoseconds` of work that no compiler can shorten.
double ns_per_spin = 1;
void spin(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) asm volatile("" : : : "memory");
}
void calibrate() {
    constexpr std::uint64_t count = 20'000'000;
    spin(count);
    ns_per_spin = 1e9 * seconds([] { spin(count); }) / count;
}

int empty(int x) { return x; }
int busy(std::uint64_t spins) {
    spin(spins);
    return 1;
}

struct Row {
    std::string name;
    std::function<void()> ours, peer;
    double units;  // tasks a run
    double ideal;  // seconds of pure work on all workers; 0: none
};

void run(const Row& row, int rounds) {
    std::vector<double> ours, peer, ratio;
    row.ours();
    row.peer();
    for (int i = 0; i < rounds; ++i) {
        ours.push_back(seconds(row.ours));
        peer.push_back(seconds(row.peer));
        ratio.push_back(peer.back() / ours.back());
    }
    for (auto* list : {&ours, &peer, &ratio}) std::sort(list->begin(), list->end());
    const auto middle = ours.size() / 2;
    std::printf("%-34s ours %9.2f M/s  peer %9.2f M/s", row.name.c_str(), row.units / ours[middle] / 1e6,
                row.units / peer[middle] / 1e6);
    if (row.ideal > 0) std::printf("  efficiency %.3f / %.3f", row.ideal / ours[middle], row.ideal / peer[middle]);
    std::printf("  ours/peer %.3f (%.3f-%.3f)\n", ratio[middle], ratio.front(), ratio.back());
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
    const int workers = 2;
    calibrate();
    omp_set_num_threads(workers);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    mp::Pool pool(workers);

    constexpr int n = 4'000'000;
    run({"map of empty tasks, chunk 1 peer: TBB", [&] { pool.map(empty, mp::range(0, n)); },
         [&] {
             std::vector<int> out(n);
             tbb::parallel_for(tbb::blocked_range<int>(0, n, 1), [&](const auto& r) {
                 for (int i = r.begin(); i != r.end(); ++i) out[static_cast<std::size_t>(i)] = empty(i);
             }, tbb::simple_partitioner());
         }, n, 0}, rounds);
    run({"same, chunk_size 1 on both sides", [&] { pool.map(empty, mp::range(0, n), {.chunk_size = 1}); },
         [&] {
             std::vector<int> out(n);
#pragma omp parallel for schedule(dynamic, 1)
             for (int i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = empty(i);
         }, n, 0}, rounds);
    for (const double us : {1.0, 10.0, 100.0}) {
        const auto spins = static_cast<std::uint64_t>(us * 1000 / ns_per_spin);
        const int count = static_cast<int>(400'000 / us);
        const double ideal = count * us * 1e-6 / workers;
        char name[64];
        std::snprintf(name, sizeof name, "map %g us, peer: TBB auto", us);
        run({name, [&] { pool.map(busy, std::vector<std::uint64_t>(static_cast<std::size_t>(count), spins)); },
             [&] {
                 std::vector<int> out(static_cast<std::size_t>(count));
                 tbb::parallel_for(tbb::blocked_range<int>(0, count), [&](const auto& r) {
                     for (int i = r.begin(); i != r.end(); ++i) out[static_cast<std::size_t>(i)] = busy(spins);
                 });
             }, double(count), ideal}, rounds);
        std::snprintf(name, sizeof name, "submit %g us, peer: TBB task_group", us);
        const int few = count / 2;
        run({name,
             [&] {
                 std::vector<mp::Future<int>> futures;
                 futures.reserve(static_cast<std::size_t>(few));
                 for (int i = 0; i < few; ++i) futures.push_back(pool.submit(busy, spins));
                 for (auto& f : futures) f.get();
             },
             [&] {
                 std::vector<int> out(static_cast<std::size_t>(few));
                 tbb::task_group group;
                 for (int i = 0; i < few; ++i) group.run([&, i] { out[static_cast<std::size_t>(i)] = busy(spins); });
                 group.wait();
             }, double(few), ideal / 2}, rounds);
    }
    constexpr int stream = 400'000;
    run({"submit stream, empty, TBB task_group",
         [&] {
             std::vector<mp::Future<int>> futures;
             futures.reserve(stream);
             for (int i = 0; i < stream; ++i) futures.push_back(pool.submit(empty, i));
             for (auto& f : futures) f.get();
         },
         [&] {
             std::vector<int> out(stream);
             tbb::task_group group;
             for (int i = 0; i < stream; ++i) group.run([&, i] { out[static_cast<std::size_t>(i)] = empty(i); });
             group.wait();
         }, stream, 0}, rounds);
    constexpr int trips = 20'000;
    mp::Pool one(1);
    run({"submit and get, awake; TBB",
         [&] { for (int i = 0; i < trips; ++i) one.submit(empty, i).get(); },
         [&] {
             tbb::task_group group;
             int out = 0;
             for (int i = 0; i < trips; ++i) {
                 group.run([&] { out = i; });
                 group.wait();
             }
         }, trips, 0}, rounds);
}
