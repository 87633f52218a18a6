// Counting primes: our pool, start and stop included, beside one core's half, OpenMP and oneTBB; and the program
// `primes` beside itself on one core and beside primesieve. All in turns, so that a change of the machine's speed hits
// all alike.
//   primes_peers [ROUNDS]
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/range.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

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

/// Runs a program with its output thrown away.
int run(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1 /* O_WRONLY */, 0);
    pid_t pid = 0;
    const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    if (error || ::waitpid(pid, &status, 0) != pid || status != 0) throw std::runtime_error("cannot run " + words[0]);
    return 0;
}

struct Peer {
    const char* name;
    std::function<int()> work;
    std::vector<double> seconds{};
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// A B C A B C …, and the ratio of each round's times to those of the first peer in the same round.
void compare(const char* title, std::vector<Peer> peers, int rounds, int expected) {
    for (int round = 0; round < rounds; ++round)
        for (Peer& peer : peers) {
            const auto begin = std::chrono::steady_clock::now();
            if (peer.work() != expected) throw std::runtime_error(std::string(peer.name) + " counts wrong");
            peer.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        }
    std::printf("%s, %d rounds\n%-34s %10s  %s\n", title, rounds, "", "median",
                "share of the first's time (least - most)");
    for (const Peer& peer : peers) {
        std::vector<double> ratios;
        for (int round = 0; round < rounds; ++round) ratios.push_back(peer.seconds[round] / peers[0].seconds[round]);
        const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
        std::printf("%-34s %8.1f ms  %.4f (%.4f - %.4f)\n", peer.name, 1e3 * median(peer.seconds), median(ratios),
                    *least, *most);
    }
    std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 9;
    compare("primes 1 to 80000 by trial division, in one process's life",
            {{"OpenMP dynamic", openmp},
             {"oneTBB parallel_reduce", onetbb},
             {"mp::Pool(2).map, start to stop", our_pool},
             {"serial", serial}},
            rounds, known_count);
    const std::string primes = PRIMES_PROGRAM;
    compare("whole programs: 1 to 80000 by trial division",
            {{"primes --mode serial", [&] { return run({primes, "80000", "--quiet", "--mode", "serial"}); }},
             {"primes --workers 2", [&] { return run({primes, "80000", "--quiet", "--workers", "2"}); }}},
            rounds, 0);
    compare("whole programs: 1 to 1e10 by sieve",
            {{"primesieve -t2", [] { return run({"primesieve", "1e10", "-t2", "-q"}); }},
             {"primes --method sieve --workers 2",
              [&] { return run({primes, "1e10", "--quiet", "--method", "sieve", "--workers", "2"}); }}},
            std::max(1, rounds / 2), 0);
}
