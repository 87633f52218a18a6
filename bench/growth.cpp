// How the cost of a task grows with the number of tasks and of workers: it must not.
#include <string>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/suite.hpp"
#include "peers/work.hpp"

namespace {

using bench::Better;

double map_of(mp::Pool& pool, int count) {
    return 1e9 / count * bench::seconds([&] { pool.map(bench::empty, mp::range(0, count)); });
}

double submit_of(mp::Pool& pool, int count) {
    return 1e9 / count * bench::seconds([&] {
               std::vector<mp::Future<int>> futures;
               futures.reserve(static_cast<std::size_t>(count));
               for (int i = 0; i < count; ++i) futures.push_back(pool.submit(bench::empty, i));
               for (auto& future : futures) future.get();
           });
}

std::string power_of_ten(int count) { return "1e" + std::to_string(std::to_string(count).size() - 1); }

using Way = double (*)(mp::Pool&, int);

void by_tasks(bench::Suite& suite, mp::Pool& pool, const std::string& way, Way cost, int most) {
    for (int count = 1000; count <= most; count *= 10)
        suite.run({.name = way + " of " + power_of_ten(count) + " empty tasks",
                   .unit = "ns a task",
                   .better = Better::lower,
                   .ours = {"2 workers", [&, cost, count] { return cost(pool, count); }},
                   .series = "tasks|" + way,
                   .x = static_cast<double>(count)});
    suite.run({.name = way + ": cost a task of " + power_of_ten(most) + " over that of " + power_of_ten(most / 100),
               .unit = "times",
               .better = Better::lower,
               .ours = {"2 workers", [&, cost, most] { return cost(pool, most) / cost(pool, most / 100); }},
               .target = 1.2});
}

void by_workers(bench::Suite& suite) {
    for (const int workers : {1, 2, 8, 64, 200}) {
        const std::string in_words = std::to_string(workers) + " workers";
        if (!suite.wants("map of 1e6 empty tasks, " + in_words) &&
            !suite.wants("submit of 1e5 empty tasks, " + in_words))
            continue;
        mp::Pool pool(workers);
        suite.run({.name = "map of 1e6 empty tasks, " + in_words,
                   .unit = "ns a task",
                   .better = Better::lower,
                   .ours = {in_words, [&] { return map_of(pool, 1'000'000); }},
                   .series = "workers|map of 1e6",
                   .x = static_cast<double>(workers)});
        suite.run({.name = "submit of 1e5 empty tasks, " + in_words,
                   .unit = "ns a task",
                   .better = Better::lower,
                   .ours = {in_words, [&] { return submit_of(pool, 100'000); }},
                   .series = "workers|submit of 1e5",
                   .x = static_cast<double>(workers)});
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::Suite suite("growth", argc, argv);
    {
        mp::Pool pool(2);
        by_tasks(suite, pool, "map", map_of, 10'000'000);
        by_tasks(suite, pool, "submit", submit_of, suite.quick() ? 100'000 : 10'000'000);
    }
    by_workers(suite);
    return suite.finish();
}
