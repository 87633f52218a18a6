// The pieces of docs/guide/pools.md.
#include <multiprocessing/multiprocessing.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

int square(int x) { return x * x; }
int add(int a, int b) { return a + b; }
std::size_t occurrences(const std::string& text, char letter) { return std::size_t(std::count(text.begin(), text.end(), letter)); }

int verbosity = 0;

int main() {
    mp::Pool pool(2);

    std::vector<int> squares = pool.map(square, mp::range(1, 5));
    std::vector<std::pair<int, int>> pairs{{1, 2}, {3, 4}};
    std::vector<int> sums = pool.starmap(add, pairs);
    std::printf("%d %d\n", squares.back(), sums.back());

    for (int y : pool.imap(square, mp::range(0, 3))) std::printf("%d ", y);
    std::printf("\n");

    mp::Future<int> later = pool.submit(add, 20, 22);
    std::printf("%d\n", later.get());

    long total = pool.reduce([](int x) { return long(x) * x; }, std::plus<>{}, 0L, mp::range(1, 1001));
    std::printf("%ld\n", total);

    mp::Array<double> samples(1000);
    pool.for_each([](double& sample) { sample = 1.5; }, samples.span());
    std::printf("%.1f\n", samples.span()[999]);

    int k = 3;
    std::printf("%d\n", pool.map([k](int x) { return k * x; }, std::vector{5}).front());
    std::string text = "mississippi";
    for (std::size_t n : pool.map(mp::bind(occurrences, text), std::string("ms"))) std::printf("%zu ", n);
    std::printf("\n");

    pool.run_on_all([](int level) { verbosity = level; }, 3);
    std::printf("%d here, %d there\n", verbosity, pool.apply([] { return verbosity; }));

    const int limit = 10;
    const auto below = mp::snapshot_map([&](int x) { return x < limit; }, mp::range(9, 12));
    std::printf("%zu\n", below.size());

    mp::Pool threads({.workers = 2, .engine = mp::threads()});
    mp::Pool here({.engine = mp::inline_engine()});
    std::printf("%d %d\n", threads.map(square, mp::range(1, 5)).back(), here.apply(square, 5));
}
// Prints:
// 16 7
// 0 1 4 
// 42
// 333833500
// 1.5
// 15
// 1 4 
// 0 here, 3 there
// 3
// 16 25
