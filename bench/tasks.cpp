// Many tasks of 0 to 1000 us in two workers, by each way to hand them out, beside threads (oneTBB, OpenMP, a plain
// pool, std::async) and beside Python and Perl. Figures are millions of tasks a second.
#include <omp.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/parallel_reduce.h>
#include <tbb/task_group.h>

#include <cstdint>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/program.hpp"
#include "driver/suite.hpp"
#include "peers/thread_pool.hpp"
#include "peers/work.hpp"

namespace {

using bench::Better, bench::busy, bench::millions_a_second, bench::Side;

constexpr int workers = 2;
constexpr const char* python = "/usr/bin/python3";

void expect(bool right) {
    if (!right) throw std::runtime_error("a result is wrong");
}

/// Tasks a second in both workers when they are busy with them for such a part of the time, in millions.
double at_efficiency(double part, int us) { return part * workers / us; }

// So many tasks that a turn takes about 60 ms where handing out costs nothing.
int count_for(int us, double most) { return static_cast<int>(std::min(most, 120'000.0 / std::max(1, us))); }

template <class Partitioner>
std::vector<int> by_tbb(int count, std::uint64_t spins, std::size_t grain, const Partitioner& partitioner) {
    std::vector<int> out(static_cast<std::size_t>(count));
    tbb::parallel_for(
        tbb::blocked_range<int>(0, count, grain),
        [&](const auto& part) {
            for (int i = part.begin(); i != part.end(); ++i) out[static_cast<std::size_t>(i)] = busy(spins);
        },
        partitioner);
    return out;
}

std::vector<int> by_openmp(int count, std::uint64_t spins) {
    std::vector<int> out(static_cast<std::size_t>(count));
#pragma omp parallel for schedule(dynamic, 1) num_threads(workers)
    for (int i = 0; i < count; ++i) out[static_cast<std::size_t>(i)] = busy(spins);
    return out;
}

template <class Submit>
void stream(int count, Submit submit) {
    std::vector<decltype(submit(0))> futures;
    futures.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) futures.push_back(submit(i));
    for (auto& future : futures) expect(future.get() == 1);
}

Side python_tasks(const char* name, const char* way, int us, int count) {
    return bench::script(name, {python, "bench/peers/tasks.py", way, std::to_string(count), std::to_string(us)},
                         [count](double seconds) { return count / seconds / 1e6; });
}

Side perl_tasks(int us, int count) {
    return bench::script("Perl MCE::Map", {"perl", "bench/peers/tasks.pl", std::to_string(count), std::to_string(us)},
                         [count](double seconds) { return count / seconds / 1e6; });
}

Side mpi4py_tasks(int us, int count) {
    return bench::script("mpi4py.futures",
                         {"mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3", python, "-m", "mpi4py.futures",
                          "bench/peers/tasks.py", "mpi", std::to_string(count), std::to_string(us)},
                         [count](double seconds) { return count / seconds / 1e6; });
}

void map_rows(bench::Suite& suite, mp::Pool& pool, int us) {
    const auto spins = us * bench::spins_per_microsecond();
    const int count = count_for(us, 120'000);
    // Bounds travel, and the time of a task with the function.
    auto ours = [&pool, spins, count](mp::CallOptions options) {
        const auto found = pool.map([spins](int) { return busy(spins); }, mp::range(0, count), options);
        expect(found.size() == static_cast<std::size_t>(count) && found.back() == 1);
    };
    const std::string length = std::to_string(us) + " us tasks";
    const bool short_tasks = us <= 1;
    bench::Row row{.name = "map of " + length,
                   .unit = "M tasks/s",
                   .better = Better::higher,
                   .ours = {"mp::Pool::map", millions_a_second(count, [=] { ours({}); })}};
    row.peers.push_back({"oneTBB parallel_for",
                         millions_a_second(count, [=] { by_tbb(count, spins, 1, tbb::auto_partitioner()); }), "",
                         us >= 1 ? std::optional(0.98) : std::nullopt});
    row.peers.push_back({"OpenMP dynamic", millions_a_second(count, [=] { by_openmp(count, spins); })});
    if (us == 1 || us == 100 || !suite.quick()) {
        const int few = short_tasks ? 20'000 : 40'000 / us;
        row.peers.push_back(python_tasks("Python Pool.map", "map", us, few));
        row.peers.push_back(perl_tasks(us, few));
    }
    suite.run(std::move(row));
    if (us > 100) return;

    bench::Row single{.name = "map of " + length + ", chunk_size 1",
                      .unit = "M tasks/s",
                      .better = Better::higher,
                      .ours = {"mp::Pool::map", millions_a_second(count, [=] { ours({.chunk_size = 1}); })}};
    if (us > 0) single.target = at_efficiency(us == 1 ? 0.75 : us == 10 ? 0.81 : 0.83, us);
    single.peers.push_back({"oneTBB simple_partitioner",
                            millions_a_second(count, [=] { by_tbb(count, spins, 1, tbb::simple_partitioner()); })});
    single.peers.push_back({"OpenMP dynamic,1", millions_a_second(count, [=] { by_openmp(count, spins); })});
    if (us == 10 || !suite.quick()) {
        const int few = short_tasks ? 3000 : 20'000 / us;
        single.peers.push_back(python_tasks("Python Pool.map chunksize=1", "map1", us, few));
    }
    suite.run(std::move(single));
}

void submit_rows(bench::Suite& suite, mp::Pool& pool, bench::ThreadPool& threads, int us) {
    const auto spins = us * bench::spins_per_microsecond();
    const int count = count_for(us, 60'000);
    bench::Row row{.name = "submit of " + std::to_string(us) + " us tasks",
                   .unit = "M tasks/s",
                   .better = Better::higher,
                   .ours = {"mp::Pool::submit", millions_a_second(count, [=, &pool] {
                                stream(count, [&](int) { return pool.submit(busy, spins); });
                            })}};
    if (us == 0) row.target = 4;
    else if (us <= 100) row.target = at_efficiency(us == 1 ? 0.58 : us == 10 ? 0.80 : 0.83, us);
    row.peers.push_back({"oneTBB task_group", millions_a_second(count, [=] {
                             std::vector<int> out(static_cast<std::size_t>(count));
                             tbb::task_group group;
                             for (int i = 0; i < count; ++i)
                                 group.run([&, i] { out[static_cast<std::size_t>(i)] = busy(spins); });
                             group.wait();
                             expect(out.back() == 1);
                         })});
    row.peers.push_back({"thread pool with mutex", millions_a_second(count, [=, &threads] {
                             stream(count, [&](int) { return threads.submit([spins] { return busy(spins); }); });
                         })});
    if (us == 10 || us == 1000) {
        const int few = std::min(count, 500);
        row.peers.push_back({"std::async", millions_a_second(few, [=] {
                                 stream(few, [&](int) { return std::async(std::launch::async, busy, spins); });
                             })});
    }
    if (us == 10 || !suite.quick()) {
        const int few = us <= 10 ? 3000 : 40'000 / us;
        row.peers.push_back(python_tasks("Python Pool.apply_async", "apply_async", us, few));
        row.peers.push_back(python_tasks("Python ProcessPoolExecutor", "executor", us, few));
        row.peers.push_back(python_tasks("Python joblib (loky)", "joblib", us, few));
        row.peers.push_back(mpi4py_tasks(us, few));
    }
    suite.run(std::move(row));
}

// The other ways to hand tasks out: for effects alone, folded, one by one as they finish.
void other_rows(bench::Suite& suite, mp::Pool& pool, int us) {
    const auto spins = us * bench::spins_per_microsecond();
    const int count = count_for(us, 120'000);
    const std::string length = std::to_string(us) + " us tasks";
    suite.run({.name = "for_each of " + length,
               .unit = "M tasks/s",
               .better = Better::higher,
               .ours = {"mp::Pool::for_each",
                        millions_a_second(
                            count, [=, &pool] { pool.for_each([spins](int) { busy(spins); }, mp::range(0, count)); })},
               .peers = {{"oneTBB parallel_for", millions_a_second(count, [=] {
                              tbb::parallel_for(tbb::blocked_range<int>(0, count), [&](const auto& part) {
                                  for (int i = part.begin(); i != part.end(); ++i) busy(spins);
                              });
                          })}}});
    suite.run(
        {.name = "reduce of " + length,
         .unit = "M tasks/s",
         .better = Better::higher,
         .ours = {"mp::Pool::reduce", millions_a_second(count,
                                                        [=, &pool] {
                                                            expect(pool.reduce([spins](int) { return busy(spins); },
                                                                               std::plus<>{}, 0,
                                                                               mp::range(0, count)) == count);
                                                        })},
         .peers = {{"oneTBB parallel_reduce", millions_a_second(count,
                                                                [=] {
                                                                    expect(tbb::parallel_reduce(
                                                                               tbb::blocked_range<int>(0, count), 0,
                                                                               [&](const auto& part, int sum) {
                                                                                   for (int i = part.begin();
                                                                                        i != part.end(); ++i)
                                                                                       sum += busy(spins);
                                                                                   return sum;
                                                                               },
                                                                               std::plus<>()) == count);
                                                                })},
                   {"OpenMP reduction", millions_a_second(count, [=] {
                        int sum = 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads(workers) reduction(+ : sum)
                        for (int i = 0; i < count; ++i) sum += busy(spins);
                        expect(sum == count);
                    })}}});
    const int streamed = count_for(us, 60'000);
    bench::Row row{
        .name = "imap_unordered of " + length,
        .unit = "M tasks/s",
        .better = Better::higher,
        .ours = {"mp::Pool::imap_unordered", millions_a_second(streamed,
                                                               [=, &pool] {
                                                                   int sum = 0;
                                                                   for (const int one : pool.imap_unordered(
                                                                            [spins](int) { return busy(spins); },
                                                                            mp::range(0, streamed)))
                                                                       sum += one;
                                                                   expect(sum == streamed);
                                                               })},
        .peers = {{"oneTBB parallel_pipeline", millions_a_second(streamed, [=] {
                       int next = 0, sum = 0;
                       tbb::parallel_pipeline(16, tbb::make_filter<void, int>(tbb::filter_mode::serial_in_order,
                                                                              [&](tbb::flow_control& control) {
                                                                                  if (next == streamed) control.stop();
                                                                                  return next++;
                                                                              }) &
                                                      tbb::make_filter<int, int>(tbb::filter_mode::parallel,
                                                                                 [=](int) { return busy(spins); }) &
                                                      tbb::make_filter<int, void>(tbb::filter_mode::serial_out_of_order,
                                                                                  [&](int one) { sum += one; }));
                       expect(sum == streamed);
                   })}}};
    if (us == 10 || !suite.quick()) {
        const int few = us <= 10 ? 3000 : 40'000 / us;
        row.peers.push_back(python_tasks("Python Pool.imap_unordered", "imap_unordered", us, few));
    }
    suite.run(std::move(row));
}

}  // namespace

int main(int argc, char** argv) {
    bench::Suite suite("tasks", argc, argv);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    mp::Pool pool(workers);
    bench::ThreadPool threads(workers);

    constexpr int many = 4'000'000;
    suite.run({.name = "map of empty tasks, 4 million",
               .unit = "M tasks/s",
               .better = Better::higher,
               .ours = {"mp::Pool::map",
                        millions_a_second(
                            many, [&] { expect(pool.map(bench::empty, mp::range(0, many)).back() == many - 1); })},
               .peers = {{"oneTBB simple_partitioner",
                          millions_a_second(many, [] { by_tbb(many, 0, 1, tbb::simple_partitioner()); })},
                         {"OpenMP dynamic,1", millions_a_second(many, [] { by_openmp(many, 0); })}},
               .target = 20});
    for (const int us : {0, 1, 10, 100, 1000}) {
        map_rows(suite, pool, us);
        submit_rows(suite, pool, threads, us);
        other_rows(suite, pool, us);
    }
    return suite.finish();
}
