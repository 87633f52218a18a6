// The pieces of docs/guide/seeing-what-happens.md.
#include <multiprocessing/multiprocessing.hpp>

#include <filesystem>
#include <iostream>
#include <sstream>

int square(int x) { return x * x; }

std::uint64_t seen = 0;

void progress(mp::Pool& pool) {
    const auto range = mp::range(0, 1000);
    pool.map(square, range, {.progress = true});
    pool.map(square, range, {.progress = [](const mp::Progress& p) { seen = p.done; }});
}

void statistics(mp::Pool& pool, std::ostream& out) {
    out << pool.stats();
}

void record(mp::Pool& pool) {
    mp::trace::Session session("run.html");
    pool.map(square, mp::range(0, 1000));
}

int main() {
    std::filesystem::current_path(std::filesystem::temp_directory_path());
    mp::Pool pool(2);
    progress(pool);
    std::ostringstream table;
    statistics(pool, table);
    record(pool);
    std::cout << seen << ' ' << pool.stats().tasks() << ' ' << table.str().starts_with("pool \"pool\"") << ' '
              << std::filesystem::remove("run.html") << '\n';
}

// Prints:
// 1000 3000 1 1
