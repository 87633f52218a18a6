// 20 tasks, 2 workers, task 7 kills itself with SIGKILL: what is left of the others? Prints one row of the table in
// which process pools are compared.
#include <multiprocessing/pool.hpp>
#include <multiprocessing/range.hpp>

#include <signal.h>

#include <cstdio>
#include <string>

int work(int task) {
    if (task == 7) ::raise(SIGKILL);
    return task;
}

int main() {
    mp::Pool pool(2);
    int results = 0, errors = 0;
    std::string first_error;
    for (const auto& outcome : pool.map_outcomes(work, mp::range(0, 20))) {
        results += outcome.has_value();
        errors += !outcome;
        if (!outcome) first_error = outcome.error().what();
    }
    const bool alive = pool.apply(work, 1) == 1;
    std::printf("| multiprocessing (this library) | %d | %d: %s | %s |\n", results, errors, first_error.c_str(),
                alive ? "alive" : "dead");
}
