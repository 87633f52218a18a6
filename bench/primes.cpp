// Counting primes: our pool, start and stop included, beside one core's half, OpenMP, oneTBB and Python; and the
// program `primes` beside itself on one core and beside primesieve.
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_reduce.h>

#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>

#include <multiprocessing/pool.hpp>
#include <multiprocessing/range.hpp>

#include "driver/program.hpp"
#include "driver/suite.hpp"

namespace {

constexpr int workers = 2;
constexpr int first = 1, last = 80000, known_count = 7837;

int is_prime(int value) {
    if (value < 2) return 0;
    for (int divisor = 2; divisor < value; ++divisor)
        if (value % divisor == 0) return 0;
    return 1;
}

int serial() {
    int count = 0;
    for (int value = first; value <= last; ++value) count += is_prime(value);
    return count;
}

int openmp() {
    int count = 0;
#pragma omp parallel for schedule(dynamic) num_threads(workers) reduction(+ : count)
    for (int value = first; value <= last; ++value) count += is_prime(value);
    return count;
}

int onetbb() {
    using Range = oneapi::tbb::blocked_range<int>;
    const oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, workers);
    return oneapi::tbb::parallel_reduce(
        Range(first, last + 1), 0,
        [](const Range& part, int count) {
            for (int value = part.begin(); value != part.end(); ++value) count += is_prime(value);
            return count;
        },
        std::plus<>());
}

int our_pool() {
    mp::Pool pool(workers);
    const auto found = pool.map(is_prime, mp::range(first, last + 1));
    return std::accumulate(found.begin(), found.end(), 0);
}

std::function<double()> counting(int (*count)(), double share = 1) {
    return [=] {
        return 1e3 * share * bench::seconds([&] {
                   if (count() != known_count) throw std::runtime_error("the count is wrong");
               });
    };
}

std::function<double()> program(std::vector<std::string> words, double share = 1) {
    return [=] { return 1e3 * share * bench::seconds([&] { bench::run_program(words); }); };
}

}  // namespace

int main(int argc, char** argv) {
    using bench::Better;
    bench::Suite suite("primes", argc, argv);
    suite.run({.name = "primes to 80000 by trial division, start and stop included",
               .unit = "ms",
               .better = Better::lower,
               .ours = {"mp::Pool(2).map", counting(our_pool)},
               .peers = {{"half of one core's time", counting(serial, 0.5), "", 0.97},
                         {"OpenMP dynamic", counting(openmp), "", 1 / 1.02},
                         {"oneTBB parallel_reduce", counting(onetbb)}}});
    const std::string primes = PRIMES_PROGRAM, in_words = "primes ";
    suite.run(
        {.name = "program primes to 80000 by trial division",
         .unit = "ms",
         .better = Better::lower,
         .ours = {"primes --workers 2", program({primes, "80000", "--quiet", "--workers", "2"})},
         .peers = {{"half of primes --mode serial", program({primes, "80000", "--quiet", "--mode", "serial"}, 0.5),
                    in_words + "80000 --quiet --mode serial", 0.97}}});
    suite.run(
        {.name = "program primes to 1e9 by sieve",
         .unit = "ms",
         .better = Better::lower,
         .ours = {"primes --method sieve", program({primes, "1e9", "--quiet", "--method", "sieve", "--workers", "2"})},
         .peers = {{"primesieve -t2", program({"primesieve", "1e9", "-t2", "-q"}), "primesieve 1e9 -t2 -q"}}});
    if (!suite.quick()) {
        suite.run(
            {.name = "program primes to 1e10 by sieve",
             .unit = "ms",
             .better = Better::lower,
             .ours = {"primes --method sieve",
                      program({primes, "1e10", "--quiet", "--method", "sieve", "--workers", "2"})},
             .peers = {{"primesieve -t2", program({"primesieve", "1e10", "-t2", "-q"}), "primesieve 1e10 -t2 -q"}}});
        suite.run({.name = "primes to 80000 by trial division, Python",
                   .unit = "ms",
                   .better = Better::lower,
                   .ours = {"mp::Pool(2).map", counting(our_pool)},
                   .peers = {bench::script("Python Pool.map", {"/usr/bin/python3", "bench/peers/primes.py", "80000"},
                                           [](double seconds) { return 1e3 * seconds; })}});
    }
    return suite.finish();
}
