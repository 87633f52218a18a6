// What a crash costs: from the moment a task kills its worker until the next task has a result.
#include <signal.h>
#include <unistd.h>

#include <stdexcept>

#include <multiprocessing/multiprocessing.hpp>

#include "driver/program.hpp"
#include "driver/suite.hpp"
#include "peers/work.hpp"

namespace {

int die(int) {
    ::kill(::getpid(), SIGKILL);
    return 0;
}

int touch_nothing(int) { return *static_cast<volatile int*>(nullptr); }

template <class Crash>
double until_the_next_result(mp::Pool& pool, Crash crash) {
    return 1e3 * bench::seconds([&] {
               bool lost = false;
               try {
                   pool.apply(crash, 1);
               } catch (const mp::WorkerLost&) {
                   lost = true;
               }
               if (!lost || pool.apply(bench::empty, 7) != 7) throw std::runtime_error("a result is wrong");
           });
}

}  // namespace

int main(int argc, char** argv) {
    using bench::Better;
    bench::Suite suite("crash", argc, argv);
    mp::Pool pool(1), two(2);
    suite.run({.name = "SIGKILL of the only worker, until the next result",
               .unit = "ms",
               .better = Better::lower,
               .ours = {"mp::Pool(1)", [&] { return until_the_next_result(pool, die); }},
               .peers = {bench::script("Python executor, made anew", {"/usr/bin/python3", "bench/peers/crash.py"},
                                       [](double seconds) { return 1e3 * seconds; })}});
    suite.run({.name = "segmentation fault of the only worker, until the next result",
               .unit = "ms",
               .better = Better::lower,
               .ours = {"mp::Pool(1)", [&] { return until_the_next_result(pool, touch_nothing); }}});
    suite.run({.name = "SIGKILL of one of two workers, until the next result",
               .unit = "ms",
               .better = Better::lower,
               .ours = {"mp::Pool(2)", [&] { return until_the_next_result(two, die); }}});
    return suite.finish();
}
