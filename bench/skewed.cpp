// Tasks of uneven length: all workers should end together. The figure is the share of two cores' time that was work.
#include <omp.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/suite.hpp"
#include "peers/work.hpp"

namespace {

using Lengths = std::vector<std::uint64_t>;  // of tasks, in spins

constexpr int workers = 2;

Lengths exponential(int count, double mean_us) {
    Lengths lengths;
    std::uint64_t state = 1;  // the same lengths in each run
    for (int i = 0; i < count; ++i) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        const double share = (static_cast<double>(state >> 11) + 0.5) / 9007199254740992.0;
        lengths.push_back(static_cast<std::uint64_t>(-std::log(share) * mean_us *
                                                     static_cast<double>(bench::spins_per_microsecond())));
    }
    return lengths;
}

Lengths one_giant(int count, double us, double giant_us, std::size_t place) {
    const auto spins = static_cast<double>(bench::spins_per_microsecond());
    Lengths lengths(static_cast<std::size_t>(count), static_cast<std::uint64_t>(us * spins));
    lengths[place] = static_cast<std::uint64_t>(giant_us * spins);
    return lengths;
}

// The tutorial's range: the work grows with the number.
Lengths growing(int count, double last_us) {
    Lengths lengths;
    for (int i = 0; i < count; ++i)
        lengths.push_back(
            static_cast<std::uint64_t>(last_us * i / count * static_cast<double>(bench::spins_per_microsecond())));
    return lengths;
}

template <class Work>
std::function<double()> efficiency(const Lengths& lengths, Work work) {
    return [&lengths, work] {
        const double all = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), std::uint64_t{0}));
        const double ideal = all / static_cast<double>(bench::spins_per_microsecond()) * 1e-6 / workers;
        return ideal / bench::seconds(work);
    };
}

void run(bench::Suite& suite, mp::Pool& pool, const std::string& name, const Lengths& lengths) {
    const int count = static_cast<int>(lengths.size());
    suite.run({.name = name,
               .unit = "share of 2 cores",
               .better = bench::Better::higher,
               .ours = {"mp::Pool::map", efficiency(lengths,
                                                    [&] {
                                                        if (pool.map(bench::busy, lengths).size() != lengths.size())
                                                            throw std::runtime_error("results are missing");
                                                    })},
               .peers = {{"oneTBB parallel_for",
                          efficiency(lengths,
                                     [&, count] {
                                         tbb::parallel_for(tbb::blocked_range<int>(0, count), [&](const auto& part) {
                                             for (int i = part.begin(); i != part.end(); ++i)
                                                 bench::busy(lengths[static_cast<std::size_t>(i)]);
                                         });
                                     }),
                          "", 0.98},
                         {"OpenMP dynamic", efficiency(lengths,
                                                       [&, count] {
#pragma omp parallel for schedule(dynamic) num_threads(workers)
                                                           for (int i = 0; i < count; ++i)
                                                               bench::busy(lengths[static_cast<std::size_t>(i)]);
                                                       })},
                         {"mp::Pool::submit", efficiency(lengths, [&] {
                              std::vector<mp::Future<int>> futures;
                              for (const auto length : lengths) futures.push_back(pool.submit(bench::busy, length));
                              for (auto& future : futures) future.get();
                          })}}});
}

}  // namespace

int main(int argc, char** argv) {
    bench::Suite suite("skewed", argc, argv);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    mp::Pool pool(workers);
    run(suite, pool, "5000 tasks, exponential, mean 20 us", exponential(5000, 20));
    run(suite, pool, "20000 tasks, growing from 0 to 10 us", growing(20'000, 10));
    run(suite, pool, "5000 tasks of 10 us, a giant of 20 ms at first", one_giant(5000, 10, 20'000, 0));
    run(suite, pool, "5000 tasks of 10 us, a giant of 20 ms in the middle", one_giant(5000, 10, 20'000, 2500));
    return suite.finish();
}
